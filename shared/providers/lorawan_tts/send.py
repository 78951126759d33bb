"""Commands as downlinks: into the device's queue, under a correlation id by which their events are known.

A device of class A hears them after its next uplink: until then a command is sent, and what follows is told by webhook.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

from shared.provider import AnswerUnreadable, Command, Deadline, Outcome, QueueItem
from shared.providers.lorawan_tts.api import Account, TtsApi
from shared.providers.lorawan_tts.parse import OURS

CALL_SECONDS = 20.0


def queue_downlink(account: Account, command: Command, item: QueueItem) -> Outcome:
    """Push it, replace the queue by it, or empty the queue. Errors: OutsideErrors."""
    operation = "push" if item.mode == "push" else "replace"
    # Its rate limit is of the whole application, so it is not waited for in one command.
    with TtsApi(account, Deadline(CALL_SECONDS), waits=False) as api:
        path = api.in_application("devices", command.device, "down", operation, server="as")
        downlinks = [] if item.mode == "flush" else [_describe(command, item)]
        # Of what was taken the answer says nothing: it is known by our id.
        with suppress(AnswerUnreadable):
            api.call("POST", path, {"downlinks": downlinks}, again=False)
    return Outcome(f"{OURS}{command.id}", result=None if item.mode == "flush" else {"stage": "queued"})


def _describe(command: Command, item: QueueItem) -> dict[str, Any]:
    described: dict[str, Any] = {
        "f_port": item.f_port,
        "frm_payload": None if item.body is None else base64.b64encode(item.body).decode(),
        "decoded_payload": item.data,
        "priority": item.priority,
        "confirmed": item.confirmed,
        "correlation_ids": [f"{OURS}{command.id}"],
    }
    return {name: value for name, value in described.items() if value is not None}
