"""Check: the connection test, over a short connection beside the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from shared.provider import (
    Broker,
    BrokerPlan,
    Check,
    CredentialsRefused,
    Deadline,
    Tls,
    connect_checked,
    explain_host,
    explain_tls_failure,
    make_tls_context,
    run_checks,
)
from shared.providers.mqtt.certificates import list_warnings
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.login import log_in_aside
from shared.providers.mqtt.reason_codes import REFUSED_FROM, explain_filter

CHECK_SECONDS = 9.0


def check_broker(plan: BrokerPlan, deadline: Deadline | None = None) -> Iterator[Check]:
    """Resolve, connect, do TLS, log in, subscribe; a failed step ends it. Within `CHECK_SECONDS`, or `deadline`."""
    opened: list[Connection] = []
    try:
        yield from run_checks(_list_steps(plan, deadline or Deadline(CHECK_SECONDS), opened))
    finally:
        for connection in opened:
            connection.close()


def _list_steps(
    plan: BrokerPlan, deadline: Deadline, opened: list[Connection]
) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "address", lambda: explain_host(plan.broker.host, plan.broker.port, deadline)
    yield "tcp", lambda: _connect(plan.broker, deadline)
    if tls := plan.broker.tls:
        yield "tls", lambda: _do_handshake(plan.broker, tls, deadline)
    yield "mqtt", lambda: _log_in(plan, deadline, opened)
    yield "subscribe", lambda: _try_topics(plan, opened[0], deadline)


def _connect(broker: Broker, deadline: Deadline) -> str:
    connect_checked(broker.host, broker.port, deadline.remaining()).close()
    return f"Port {broker.port} answers."


def _do_handshake(broker: Broker, tls: Tls, deadline: Deadline) -> str:
    name = tls.server_name or broker.host
    context = make_tls_context(tls)
    bare = connect_checked(broker.host, broker.port, deadline.remaining())
    try:
        with context.wrap_socket(bare, server_hostname=name) as secured:
            said = f"{secured.version()}; the certificate is valid for {name}."
            return " ".join((said, *list_warnings(tls, datetime.now(UTC))))
    except OSError as error:
        raise explain_tls_failure(error, broker.host) from None
    finally:
        bare.close()


def _log_in(plan: BrokerPlan, deadline: Deadline, opened: list[Connection]) -> str:
    opened.append(log_in_aside(plan, deadline))
    return f"Logged in with MQTT {opened[0].version}."


def _try_topics(plan: BrokerPlan, connection: Connection, deadline: Deadline) -> str:
    granted = connection.subscribe(dict.fromkeys(plan.filters, plan.qos), deadline.remaining())
    refused = [explain_filter(name, code) for name, code in granted.items() if code >= REFUSED_FROM]
    if refused:
        raise CredentialsRefused(" ".join(refused))
    lowered = [name for name, code in granted.items() if code < plan.qos]
    if lowered:
        return f"Granted, but only with QoS 0: {', '.join(lowered)}. What is sent there between sessions is lost."
    return f"All {len(granted)} topics are granted." if len(granted) > 1 else "The topic is granted."
