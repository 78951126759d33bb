"""Check: the codecs compile, the cluster answers, the key is accepted and may read devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, explain_url, run_checks
from shared.providers.lorawan_tts.api import Account, TtsApi

if TYPE_CHECKING:
    from shared.providers.lorawan_tts import LorawanTts

CHECK_SECONDS = 9.0


def check_application(tts: LorawanTts) -> Iterator[Check]:
    """What comes in first, then what goes out; a failed step ends it."""
    for check in tts.check_receiver():
        yield check
        if not check.ok:
            return
    if tts.api_key is None:
        return
    account, deadline = tts.account, Deadline(CHECK_SECONDS)
    yield from run_checks(
        [
            ("address", lambda: explain_url(account.base_url, deadline)),
            ("devices", lambda: _read_devices(account, deadline)),
        ]
    )


def _read_devices(account: Account, deadline: Deadline) -> str:
    with TtsApi(account, deadline, of_identities=True) as api:
        api.call("GET", api.in_application("devices"), query={"limit": 1, "page": 1}, again=False)
    return f"The key may read the devices of {account.application_id}."
