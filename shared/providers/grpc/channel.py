"""A connection to a service, at an address that was checked: the name is looked up once, and never by the library."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from shared.provider import (
    AddressBlocked,
    Deadline,
    ProtocolFailed,
    SocketAddress,
    TimedOut,
    Tls,
    TlsFailed,
    connect_checked,
    decrypt_key,
    explain_tls_failure,
    load_policy,
    make_tls_context,
    resolve_checked,
)
from shared.providers.grpc.failures import explain_call
from shared.providers.grpc.plan import ServicePlan

MESSAGE_BYTES = 4_194_304
"""Of one message, which is what servers send at most unless they were told otherwise."""

METADATA_BYTES = 16_384
WINDOW_BYTES = 262_144
"""What a stream may have on its way before it is read."""

CONNECT_SECONDS = 10.0
PROBE_SECONDS = 5.0
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 60_000, 20_000

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", 2 * METADATA_BYTES),
    # What is compressed could be a thousand times as much.
    ("grpc.compression_enabled_algorithms_bitset", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.use_local_subchannel_pool", 1),
)


def load_grpc() -> Any:
    """The library, which says nothing and leaves forks alone."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    import grpc

    return grpc


class Channel:
    """Use it in a `with`. Errors: OutsideError, of opening as of calling."""

    def __init__(self, plan: ServicePlan, deadline: Deadline) -> None:
        self._plan = plan
        self._deadline = deadline
        self._channel = self._open(find_addresses(plan, deadline))
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the service is given, and words never repeat."""
        return self._plan.secrets

    def close(self) -> None:
        """End it. The library takes 0.2 s for that once a state was watched, which nobody has to wait for."""
        threading.Thread(target=self._channel.close, name="grpc close", daemon=True).start()

    def call(self, path: str, body: bytes, seconds: float, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
        """What the method answers to one message, within so many seconds."""
        method = self._channel.unary_unary(path)
        given = (*self._plan.metadata, *metadata)
        with explain_errors(self._plan):
            return bytes(method(body, timeout=self._limit(seconds), metadata=given))

    def stream(self, path: str, body: bytes, seconds: float) -> Any:
        """The call of a method that answers with a stream: iterated, it gives bytes, or raises grpc.RpcError."""
        method = self._channel.unary_stream(path)
        return method(body, timeout=self._limit(seconds), metadata=self._plan.metadata)

    def converse(self, path: str, bodies: Iterator[bytes], seconds: float) -> Any:
        """The same with a stream of requests."""
        method = self._channel.stream_stream(path)
        return method(bodies, timeout=self._limit(seconds), metadata=self._plan.metadata)

    def _limit(self, seconds: float) -> float:
        return max(0.01, min(seconds, self._deadline.remaining()))

    def _open(self, addresses: Sequence[SocketAddress]) -> Any:
        grpc, plan = load_grpc(), self._plan
        family = addresses[0].family
        places = [_write_place(each) for each in addresses if each.family == family]
        target = f"{'ipv6' if ':' in addresses[0].address else 'ipv4'}:{','.join(places)}"
        options = [*OPTIONS, ("grpc.default_authority", plan.authority)]
        if plan.tls is None:
            return grpc.insecure_channel(target, options)
        options.append(("grpc.ssl_target_name_override", plan.host))
        return grpc.secure_channel(target, _make_credentials(grpc, plan.tls), options)

    def _connect(self) -> None:
        """Wait until there is a connection; where there is none, say why, as a connection of our own shows it."""
        state = self._watch_state(min(CONNECT_SECONDS, self._deadline.remaining()))
        if state == "READY":
            return
        deadline = Deadline(PROBE_SECONDS, self._deadline)
        probe_service(self._plan, deadline)
        if state is None:
            raise TimedOut(f"{self._plan.host} did not accept the connection in time.")
        raise ProtocolFailed(
            f"{self._plan.host} answers on port {self._plan.port}, but does not speak gRPC (HTTP/2) there; "
            "check the port and use_tls."
        )

    def _watch_state(self, seconds: float) -> str | None:
        """READY, or TRANSIENT_FAILURE; None where neither comes in time."""
        found: list[str] = []
        changed = threading.Event()

        def hear(state: Any) -> None:
            if state.name in {"READY", "TRANSIENT_FAILURE", "SHUTDOWN"}:
                found.append(state.name)
                changed.set()

        self._channel.subscribe(hear, try_to_connect=True)
        changed.wait(seconds)
        self._channel.unsubscribe(hear)
        return found[0] if found else None


@contextmanager
def explain_errors(plan: ServicePlan) -> Iterator[None]:
    """Turns the library's errors into ours."""
    try:
        yield
    except load_grpc().RpcError as error:
        raise explain_call(error, plan, MESSAGE_BYTES) from None


def find_addresses(plan: ServicePlan, deadline: Deadline) -> list[SocketAddress]:
    """The addresses of a service, each checked, also for whether it may be spoken to without TLS."""
    addresses = resolve_checked(plan.host, plan.port, deadline.remaining())
    if plan.tls is None:
        policy = load_policy()
        for each in addresses:
            if policy.find_plain_objection(each.address):
                raise AddressBlocked(
                    f"{plan.host} is only called with TLS: without it everyone on the way could read it. Set use_tls."
                )
    return addresses


def probe_service(plan: ServicePlan, deadline: Deadline) -> str:
    """Connect as the library does, and say what came of it. Errors: OutsideError, with what is wrong."""
    connection = connect_checked(plan.host, plan.port, max(0.1, deadline.remaining()))
    with connection:
        if plan.tls is None:
            return f"{plan.host} answers on port {plan.port} without TLS."
        try:
            with make_tls_context(plan.tls).wrap_socket(connection, server_hostname=plan.host) as secured:
                if secured.selected_alpn_protocol() != "h2":
                    raise ProtocolFailed(
                        f"{plan.host} speaks TLS on port {plan.port}, but not HTTP/2, which gRPC needs."
                    )
                # Whether our certificate is taken shows only once something comes.
                secured.settimeout(max(0.1, min(2.0, deadline.remaining())))
                _read_first(secured)
                return f"{plan.host} answers on port {plan.port} with {secured.version()}."
        except TimeoutError:
            raise TimedOut(f"{plan.host} did not finish the TLS handshake in time.") from None
        except OSError as error:
            raise explain_tls_failure(error, plan.host, "service") from None


def _read_first(secured: ssl.SSLSocket) -> None:
    try:
        if not secured.recv(1):
            raise TlsFailed(
                "The service ended the TLS connection without a word; it may want a client certificate."
            )
    except TimeoutError:
        return


def _write_place(address: SocketAddress) -> str:
    host = f"[{address.address}]" if ":" in address.address else address.address
    return f"{host}:{address.port}"


def _make_credentials(grpc: Any, tls: Tls) -> Any:
    import certifi

    roots = tls.ca_certificate.encode() if tls.ca_certificate else certifi.contents().encode()
    if not (tls.client_certificate and tls.client_key):
        return grpc.ssl_channel_credentials(roots)
    plain = decrypt_key(tls.client_key, tls.client_key_passphrase)
    return grpc.ssl_channel_credentials(roots, plain, tls.client_certificate.encode())
