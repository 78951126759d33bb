"""Check: the codecs compile; where an API is configured, it speaks gRPC-Web and the key may read the devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, explain_url, run_checks
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi

if TYPE_CHECKING:
    from shared.providers.lorawan_chirpstack import LorawanChirpstack

CHECK_SECONDS = 9.0


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
            ("address", lambda: explain_url(account.base_url, deadline)),
            ("devices", lambda: _read_devices(account, deadline)),
        ]
    )


def _read_devices(account: Account, deadline: Deadline) -> str:
    with ChirpstackApi(account, deadline, waits=False) as api:
        reply = api.call("List", application_id=account.application_id, limit=1)
    return f"The key may read the {reply.total_count} devices of the application."
