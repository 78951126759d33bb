"""Check: the codecs compile, the cluster answers, the key is accepted and may read devices."""

from __future__ import annotations

from shared.provider import Deadline
from shared.providers.lorawan_tts.api import Account, TtsApi


def read_devices(account: Account, deadline: Deadline) -> str:
    """That it could be read."""
    with TtsApi(account, deadline, of_identities=True, waits=False) as api:
        api.call("GET", api.in_application("devices"), query={"limit": 1, "page": 1})
    return f"The key may read the devices of {account.application_id}."
