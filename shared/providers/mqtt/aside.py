"""Short connections beside the session: the connection test and publishing a command.

They log in with a client id of their own and a clean session, so they never push the live session off the broker.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from shared.provider import Check, CredentialsRefused, Deadline, connect_checked, resolve_checked, run_check
from shared.providers.mqtt.connecting import open_connection
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.paho_client import Login
from shared.providers.mqtt.plan import Plan
from shared.providers.mqtt.reason_codes import REFUSED_FROM, explain_filter, explain_publish
from shared.providers.mqtt.tls import explain_failure, make_context

CHECK_SECONDS = 9.0
SEND_SECONDS = 10.0


def check_broker(plan: Plan) -> Iterator[Check]:
    """Resolve, connect, do TLS, log in, subscribe; a failed step ends it. Within `CHECK_SECONDS` in all."""
    deadline = Deadline(CHECK_SECONDS)
    steps: list[tuple[str, Callable[[Plan, Deadline], str]]] = [("address", _resolve), ("tcp", _connect)]
    steps += [("tls", _do_handshake)] if plan.broker.tls else []
    for name, step in steps:
        outcome = run_check(name, lambda step=step: step(plan, deadline))  # type: ignore[misc]
        yield outcome
        if not outcome.ok:
            return
    yield from _check_login(plan, deadline)


def publish_once(plan: Plan, topic: str, body: bytes) -> None:
    """Publish with QoS 1 and wait for the broker to take it. OutsideError says why it did not."""
    deadline = Deadline(SEND_SECONDS)
    with _log_in(plan, deadline) as connection:
        code = connection.wait_published(connection.publish(topic, body), deadline.remaining())
    if code >= REFUSED_FROM:
        raise explain_publish(topic, code)


def _resolve(plan: Plan, deadline: Deadline) -> str:
    addresses = resolve_checked(plan.broker.host, plan.broker.port, deadline.remaining())
    return f"{plan.broker.host} is {', '.join(address.address for address in addresses)}."


def _connect(plan: Plan, deadline: Deadline) -> str:
    connect_checked(plan.broker.host, plan.broker.port, deadline.remaining()).close()
    return f"Port {plan.broker.port} answers."


def _do_handshake(plan: Plan, deadline: Deadline) -> str:
    broker = plan.broker
    if broker.tls is None:
        raise AssertionError("this step is for TLS only")
    context = make_context(broker.tls)
    bare = connect_checked(broker.host, broker.port, deadline.remaining())
    try:
        with context.wrap_socket(bare, server_hostname=broker.tls.server_name or broker.host) as secured:
            return (
                f"{secured.version()}; the certificate is valid for {broker.tls.server_name or broker.host}."
            )
    except OSError as error:
        raise explain_failure(error, broker.host) from None
    finally:
        bare.close()


def _check_login(plan: Plan, deadline: Deadline) -> Iterator[Check]:
    opened: list[Connection] = []

    def log_in() -> str:
        opened.append(_open(plan, deadline))
        return f"Logged in with MQTT {opened[0].version}."

    try:
        login = run_check("mqtt", log_in)
        yield login
        if login.ok:
            yield run_check("subscribe", lambda: _try_topics(plan, opened[0], deadline))
    finally:
        for connection in opened:
            connection.close()


def _try_topics(plan: Plan, connection: Connection, deadline: Deadline) -> str:
    granted = connection.subscribe(dict.fromkeys(plan.filters, plan.qos), deadline.remaining())
    refused = [explain_filter(name, code) for name, code in granted.items() if code >= REFUSED_FROM]
    if refused:
        raise CredentialsRefused(" ".join(refused))
    lowered = [name for name, code in granted.items() if code < plan.qos]
    if lowered:
        return f"Granted, but only with QoS 0: {', '.join(lowered)}. What is sent there between sessions is lost."
    return f"All {len(granted)} topics are granted." if len(granted) > 1 else "The topic is granted."


@contextmanager
def _log_in(plan: Plan, deadline: Deadline) -> Iterator[Connection]:
    with closing(_open(plan, deadline)) as connection:
        yield connection


def _open(plan: Plan, deadline: Deadline) -> Connection:
    login = Login(f"{plan.client_id[:14]}-{secrets.token_hex(4)}", clean=True)
    return open_connection(plan, login, None, deadline.remaining())
