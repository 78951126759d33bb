"""The one reading of an http address: who sends there and who asks where that would be agree on it."""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from typing import TYPE_CHECKING

from shared.runtime.errors import AddressBlocked, BadRequest

if TYPE_CHECKING:
    from yarl import URL

_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")


@lru_cache(maxsize=1024)
def parse_url(text: str) -> URL:
    """`text` as a URL with a host, http or https, without credentials; BadRequest otherwise."""
    from yarl import URL

    try:
        # As it is written: some receivers sign or compare the URL, and yarl would turn %2F into a slash.
        url = URL(text, encoded=text.isascii())
        host = url.raw_host
    except ValueError:
        host = None
    if not host or _CONTROL_OR_SPACE.search(text) or url.scheme not in {"http", "https"}:
        raise BadRequest("The url is not valid; write it as https://host/path.")
    if "@" in url.raw_authority:
        raise BadRequest("The url carries a user name or password; give them as authentication instead.")
    if _is_disguised_address(host):
        raise AddressBlocked(f"{host} is an address in disguise; write it as four decimal numbers.")
    return url


def find_origin(text: str) -> tuple[str, str, str]:
    """Scheme, host and port of `text`, the same for each spelling of one place. BadRequest, AddressBlocked."""
    url = parse_url(text)
    return url.scheme, (url.raw_host or "").lower().rstrip("."), str(url.port)


def _is_disguised_address(host: str) -> bool:
    # inet_aton reads 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 as 127.0.0.1, and so does the system's resolver.
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) != host
    except OSError:
        return False
