"""Check: the codecs compile; where an API is configured, it speaks gRPC-Web and the key may read the devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.provider import Check, Deadline, resolve_checked, run_checks
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi

if TYPE_CHECKING:
    from shared.providers.lorawan_chirpstack import LorawanChirpstack

CHECK_SECONDS = 9.0
PORTS = {"http": 80, "https": 443}


def check_application(chirpstack: LorawanChirpstack) -> Iterator[Check]:
    """What comes in first, then what goes out; a failed step ends it."""
    for check in chirpstack.check_receiver():
        yield check
        if not check.ok:
            return
    if chirpstack.base_url is None:
        return
    account, deadline = chirpstack.account, Deadline(CHECK_SECONDS)
    yield from run_checks(
        [
            ("address", lambda: _resolve(account, deadline)),
            ("devices", lambda: _read_devices(account, deadline)),
        ]
    )


def _resolve(account: Account, deadline: Deadline) -> str:
    url = urlsplit(account.base_url)
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    addresses = resolve_checked(host, port, deadline.remaining())
    return f"{host} is {', '.join(each.address for each in addresses)}."


def _read_devices(account: Account, deadline: Deadline) -> str:
    with ChirpstackApi(account, deadline, waits=False) as api:
        reply = api.call("List", application_id=account.application_id, limit=1)
    return f"The key may read the {reply.total_count} devices of the application."
