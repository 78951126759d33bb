"""Where a request goes: its URL taken apart into what is connected to and what stands in the request line."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.runtime.errors import AddressBlocked, BadRequest

if TYPE_CHECKING:
    from yarl import URL

_URL = re.compile(r"(https?)://([^/?#]+)([^#]*)", re.IGNORECASE)
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Target:
    """`origin` is what is connected to, `host` the header, `path` goes into the request line as it is."""

    origin: URL
    name: str
    port: int
    host: str
    path: str


@lru_cache(maxsize=1024)
def parse_url(text: str) -> Target:
    """`text` as a URL with a host, http or https, without credentials; BadRequest otherwise.

    Path and query stay byte for byte: some receivers sign or compare them. What is not ASCII there is percent-encoded
    as UTF-8; a host that is not becomes its IDNA form.
    """
    from yarl import URL

    found = _URL.match(text)
    if not found or _CONTROL_OR_SPACE.search(text):
        raise _refuse()
    scheme, authority, rest = found.groups()
    try:
        origin = URL(f"{scheme}://{authority}", encoded=authority.isascii())
        name, port = origin.raw_host, origin.port
        path = _NOT_ASCII.sub(lambda part: _escape(part[0]), rest)
    except ValueError:
        raise _refuse() from None
    if "@" in authority:
        raise BadRequest("The url carries a user name or password; give them as authentication instead.")
    if not name or not port:
        raise _refuse()
    if _is_disguised_address(name):
        raise AddressBlocked(f"{name} is an address in disguise; write it as four decimal numbers.")
    return Target(
        origin, name, port, origin.host_port_subcomponent or name, path if path[:1] == "/" else f"/{path}"
    )


@lru_cache(maxsize=1024)
def find_origin(text: str) -> tuple[str, str, str]:
    """Scheme, host and port of `text`, the same for each spelling of one place. BadRequest, AddressBlocked."""
    target = parse_url(text)
    return target.origin.scheme, target.name.lower().rstrip("."), str(target.port)


def _refuse() -> BadRequest:
    return BadRequest("The url is not valid; write it as https://host/path.")


def _escape(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _is_disguised_address(host: str) -> bool:
    # inet_aton reads 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 as 127.0.0.1, and so does the system's resolver.
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) != host
    except OSError:
        return False
