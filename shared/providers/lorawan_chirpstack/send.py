"""Commands as downlinks: into the device's queue, whose item's id is what its events name.

ChirpStack chooses that id, so an answer that was lost leaves us without it. The item expires with the command, at a
fraction of a second that is the command's own: by that it is found in the queue before it is put there again. Versions
before 4.14 know of no expiry. A device of class A hears downlinks after its next uplink.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from shared.provider import Command, CommandRefused, Deadline, Outcome, QueueItem
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi, find_eui

CALL_SECONDS = 20.0
SECOND = 1_000_000
NO_EUI = "ChirpStack has no such device: its devices come under their DevEUI, 16 hex digits."
NO_PORT = 'ChirpStack needs a port for everything: send {"data": …, "f_port": 1}.'
NO_OBJECT = "ChirpStack can't be given this object: at most 30 levels, and numbers that a double holds."
NO_PRIORITY = "ChirpStack's queues have no priorities; leave priority out."


def queue_downlink(account: Account, command: Command, item: QueueItem) -> Outcome:
    """Queue it, replace the queue by it, or empty the queue. Errors: CommandRefused, other OutsideErrors."""
    eui = find_eui([command.device])
    if eui is None:
        raise CommandRefused(NO_EUI)
    wanted = None if item.mode == "flush" else _make_item(command, item, eui)
    # Who has asked for a pause has asked it of all commands, so it is not waited for in one.
    with ChirpstackApi(account, Deadline(CALL_SECONDS), waits=False) as api:
        if wanted is None:
            api.call("FlushQueue", dev_eui=eui)
            return Outcome()
        found = _find(api, wanted)
        if found is not None:
            return Outcome(found.id, result={"stage": "sent" if found.is_pending else "queued"})
        reply = api.call("Enqueue", again=False, queue_item=wanted, flush_queue=item.mode == "replace")
    return Outcome(reply.id or None, result={"stage": "queued"})


def _make_item(command: Command, item: QueueItem, eui: str) -> Any:
    if item.f_port is None:
        raise CommandRefused(NO_PORT)
    if item.priority != "NORMAL":
        raise CommandRefused(NO_PRIORITY)
    from shared.providers.lorawan_chirpstack.schema import make_message

    content = {"object": item.data} if item.body is None else {"data": item.body}
    told = {"dev_eui": eui, "confirmed": item.confirmed, "f_port": item.f_port, "expires_at": _mark(command)}
    try:
        return make_message("QueueItem", told | content)
    except ValueError:
        raise CommandRefused(NO_OBJECT) from None


def _mark(command: Command) -> datetime:
    """When it expires, within the second: which microsecond is the command's own."""
    return command.expires_at.astimezone(UTC).replace(microsecond=uuid.UUID(command.id).int % SECOND)


def _find(api: ChirpstackApi, wanted: Any) -> Any:
    """What is in the queue already of the same command; None where nothing is."""
    for item in api.call("GetQueue", dev_eui=wanted.dev_eui).result:
        if _is_same(item, wanted):
            return item
    return None


def _is_same(item: Any, wanted: Any) -> bool:
    # To the microsecond, as databases keep times. What ChirpStack encodes itself can't be compared.
    expires, expected = item.expires_at, wanted.expires_at
    return bool(
        (expires.seconds, expires.nanos // 1000) == (expected.seconds, expected.nanos // 1000)
        and (item.f_port, item.confirmed) == (wanted.f_port, wanted.confirmed)
        and (wanted.HasField("object") or item.data == wanted.data)
    )
