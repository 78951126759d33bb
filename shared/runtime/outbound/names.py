"""From a name to sockets: one look-up within a deadline, every answer checked, then only those addresses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from shared.runtime.deadline import Deadline
from shared.runtime.errors import AddressBlocked, ConnectionRefused, NameNotResolved, OutsideError, TimedOut
from shared.runtime.outbound.addresses import AddressPolicy, load_policy


class SocketAddress(NamedTuple):
    """One address a name stands for. `address` is numeric."""

    family: socket.AddressFamily
    address: str
    port: int


LookUp = Callable[[str, int], list[SocketAddress]]
Objection = Callable[[str], str | None]


def look_up_addresses(host: str, port: int) -> list[SocketAddress]:
    """All addresses of `host`, from the system's resolver; OSError or UnicodeError where there are none."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(
        dict.fromkeys(SocketAddress(family, name_address(end), port) for family, _, _, _, end in answers)
    )


def name_address(end: Sequence[object]) -> str:
    """The address in `end`, a socket's, with its zone where it has one: no policy lets a zone pass."""
    host, _, *more = end
    return f"{host}%{more[1]}" if more and more[1] else str(host)


def resolve_checked(
    host: str,
    port: int,
    deadline_seconds: float,
    *,
    policy: AddressPolicy | None = None,
    look_up: LookUp = look_up_addresses,
) -> list[SocketAddress]:
    """The addresses of `host`, all of them checked: connect to these and do not look the name up again.

    Raises AddressBlocked where any answer may not be reached, NameNotResolved, and TimedOut after
    `deadline_seconds`, however long the system's resolver would take.
    """
    rules = policy or load_policy()
    try:
        answers = start_look_up(host, port, look_up).result(timeout=deadline_seconds)
    except TimeoutError:
        raise TimedOut(f"The name {host} was not resolved within {deadline_seconds:g} seconds.") from None
    except (OSError, ValueError) as error:
        raise describe_name_error(host, error) from None
    return check_answers(host, answers, rules.find_objection)


def connect_checked(
    host: str,
    port: int,
    timeout: float,
    *,
    policy: AddressPolicy | None = None,
    look_up: LookUp = look_up_addresses,
) -> socket.socket:
    """A TCP connection to the first address of `host` that answers, within `timeout` seconds in all.

    The socket's own timeout is left at `timeout`. Raises as `resolve_checked`, ConnectionRefused where no
    address accepts, and TimedOut.
    """
    deadline = Deadline(timeout)
    addresses = resolve_checked(host, port, timeout, policy=policy, look_up=look_up)
    failure: OutsideError = TimedOut(f"{host} port {port} did not answer within {timeout:g} seconds.")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        # A share for each: an address that never answers must not use up the time of the others.
        share = deadline.remaining() / left
        if share <= 0:
            break
        try:
            return _connect_socket(address, share, timeout)
        except TimeoutError:
            continue
        except OSError as error:
            failure = describe_connect_error(host, port, error)
    raise failure


def start_look_up(host: str, port: int, look_up: LookUp) -> Future[list[SocketAddress]]:
    """Begin `look_up` in a thread of its own.

    getaddrinfo can't be cancelled and may take minutes. A daemon thread holds up neither the end of the event
    loop nor of the process, and no pool that others wait for.
    """
    future: Future[list[SocketAddress]] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(look_up(host, port))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the future raises it
            future.set_exception(error)

    threading.Thread(target=run, name=f"look-up {host}", daemon=True).start()
    return future


def check_answers(host: str, answers: list[SocketAddress], objection: Objection) -> list[SocketAddress]:
    """`answers` as they are, or AddressBlocked where `objection` has one to any of them."""
    if not answers:
        raise NameNotResolved(f"The name {host} has no address; check its spelling and its DNS records.")
    for answer in answers:
        if words := objection(answer.address):
            raise AddressBlocked(f"{host} {words}.")
    return answers


def describe_name_error(host: str, error: Exception) -> NameNotResolved:
    """What an admin should read where the look-up of `host` raised `error`."""
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return NameNotResolved(f"No name server answered for {host}; try again, and check its DNS records.")
    return NameNotResolved(f"The name {host} does not exist; check its spelling and its DNS records.")


def describe_connect_error(host: str, port: int, error: OSError) -> ConnectionRefused:
    """What an admin should read where connecting raised `error`."""
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefused(
            f"{host} refused the connection on port {port}; check that the port is right and the server is running."
        )
    reason = f" ({error.strerror.lower()})" if error.strerror else ""
    return ConnectionRefused(
        f"No connection to {host} on port {port}{reason}; check the address and the firewalls on the way."
    )


def _connect_socket(address: SocketAddress, seconds: float, timeout: float) -> socket.socket:
    connection = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect((address.address, address.port))
        connection.settimeout(timeout)
    except BaseException:
        connection.close()
        raise
    return connection
