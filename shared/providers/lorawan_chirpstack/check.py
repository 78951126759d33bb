"""Check: the codecs compile; where an API is configured, it speaks gRPC-Web and the key may read the devices."""

from __future__ import annotations

from shared.provider import Deadline
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi


def read_devices(account: Account, deadline: Deadline) -> str:
    """How many there are."""
    with ChirpstackApi(account, deadline, waits=False) as api:
        reply = api.call("List", application_id=account.application_id, limit=1)
    return f"The key may read the {reply.total_count} devices of the application."
