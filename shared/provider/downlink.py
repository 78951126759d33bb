"""Downlinks: what a command is as bytes and port for a LoRaWAN device, and what becomes of its queue."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.codecs.contract import CodecFailed, EncoderAbsent
from shared.provider.lorawan import LorawanReceiver
from shared.provider.messages import Command
from shared.runtime.errors import CommandRefused
from shared.runtime.sentences import name_wrong

Mode = Literal["push", "replace", "flush"]
Priority = Literal["LOWEST", "LOW", "BELOW_NORMAL", "NORMAL", "ABOVE_NORMAL", "HIGH", "HIGHEST"]

FORMS = (
    'A payload is what the codec encodes, or {"data": …} or {"hex": "…"} or {"base64": "…"}, with "f_port" (1 to 223), '
    '"confirmed", "priority" and "mode" (push, replace) where you like; {"mode": "flush"} empties the queue.'
)
NO_PORT = 'It needs a port: send {"hex": "…", "f_port": 1}, or have the codec\'s encoder return fPort.'


class Envelope(BaseModel):
    """A payload that says more than the data."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    data: Any = None
    hex: str | None = Field(None, max_length=1_024)
    base64: str | None = Field(None, max_length=1_024)
    f_port: int | None = Field(None, ge=1, le=223, strict=True)
    confirmed: bool = Field(default=False, strict=True)
    priority: Priority = "NORMAL"
    mode: Mode = "push"


@dataclass(frozen=True, slots=True)
class QueueItem:
    """What goes into a device's queue: `body`, or `data` for the network server's own encoder."""

    body: bytes | None
    data: Mapping[str, Any] | None
    f_port: int | None
    confirmed: bool
    priority: Priority
    mode: Mode


def read_downlink(provider: LorawanReceiver, command: Command) -> QueueItem:
    """What is to be queued. Errors: CommandRefused, Unavailable where no encoder gets free."""
    asked = _read_envelope(command.payload)
    if asked.mode == "flush":
        if unused := sorted(asked.model_fields_set - {"mode"}):
            raise CommandRefused(
                f"With the mode flush nothing is sent; leave out {', '.join(unused)}. {FORMS}"
            )
        return QueueItem(None, None, None, asked.confirmed, asked.priority, asked.mode)
    body, data, port = _read_bytes(asked), None, asked.f_port
    if body is None:
        body, port = _encode(provider, command, asked)
        if body is None:
            data = _require_object(asked.data)
    if body is not None and port is None:
        raise CommandRefused(NO_PORT)
    return QueueItem(body, data, port, asked.confirmed, asked.priority, asked.mode)


def _read_envelope(payload: Any) -> Envelope:
    is_envelope = (
        isinstance(payload, dict)
        and payload.keys() <= Envelope.model_fields.keys()
        and (payload.keys() & {"data", "hex", "base64"} or payload.get("mode") == "flush")
    )
    try:
        return Envelope.model_validate(payload if is_envelope else {"data": payload})
    except ValidationError as error:
        wrong = name_wrong(error, "payload")
        raise CommandRefused(f"Wrong in the payload: {wrong}. {FORMS}") from None


def _read_bytes(asked: Envelope) -> bytes | None:
    given = {name for name in ("data", "hex", "base64") if getattr(asked, name) is not None}
    if len(given) > 1:
        raise CommandRefused(f"Send only one of data, hex and base64. {FORMS}")
    try:
        if asked.hex is not None:
            return bytes.fromhex(asked.hex)
        return None if asked.base64 is None else base64.b64decode(asked.base64, validate=True)
    except (ValueError, binascii.Error):
        raise CommandRefused(f"Wrong in the payload: {given.pop()}. {FORMS}") from None


def _encode(provider: LorawanReceiver, command: Command, asked: Envelope) -> tuple[bytes | None, int | None]:
    """By the device's codec; no bytes where that has no encoder."""
    codec = provider.choose_codec([command.device, *command.codec_names])
    if codec is None or codec.kind == "jmespath":
        return None, asked.f_port
    try:
        made = codec.encode(asked.data, asked.f_port, name=command.name)
    except EncoderAbsent:
        return None, asked.f_port
    except CodecFailed as failed:
        raise CommandRefused(f"The codec can't encode it: {failed.detail}") from None
    return made.body, made.f_port


def _require_object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict) or not data:
        raise CommandRefused(
            f"No codec encodes it, and the network server's encoder takes an object. {FORMS}"
        )
    return cast("Mapping[str, Any]", data)
