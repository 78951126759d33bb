"""What a rule's HTTPS action pushes: one message, or with batching a JSON array of them.

A rule says in its SELECT what AWS knows of a message: `topic`, `clientid`, `ts` (Unix time in ms) and `id`, which stays
the same when AWS tries again. The device's own bytes are `payload_base64`, which no device can imitate, or else all
other names of the object.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.provider import (
    CodedBody,
    Item,
    Message,
    OwnTopic,
    PushedRequest,
    StoredBody,
    choose_time,
    name_own_event,
    parse_time,
    read_document,
    trim_topic,
    write_json,
)
from shared.providers.aws_iot.reserved import find_reserved, read_reserved

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

OURS = frozenset(("topic", "clientid", "ts", "id"))
BYTES = "payload_base64"
TOPIC_LIMIT, DEVICE_LIMIT, ID_LIMIT = 1_024, 512, 200
BATCH_LIMIT = 1_000
"""Messages of one body; AWS sends 10 at most. One that holds more is kept as it came."""

NOT_BASE64 = f"{BYTES} is not base64."
NO_CLIENT = frozenset(("", "n/a"))
"""What AWS says of what was not sent over MQTT."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as a rule selects it; the texts are empty where it says nothing."""

    body: bytes
    event_id: str
    topic: str = ""
    client_id: str = ""
    time: object = None
    error: str | None = None


def parse_request(aws: AwsIot, request: PushedRequest) -> list[Message]:
    """The messages in a proven request."""
    known = [(each, _find_device(aws, each)) for each in read_envelopes(request.body)]
    coded = [_make_coded(*each) for each in known if aws.codec and not _is_plain(each[0])]
    decoded = iter(aws.decode_pushed(coded) if coded else ())
    messages: list[Message] = []
    for envelope, device in known:
        if aws.codec and not _is_plain(envelope):
            messages += next(decoded)
        elif message := _decode(aws, envelope, device):
            messages.append(message)
    return messages


def read_stored(aws: AwsIot, stored: StoredBody) -> list[Message]:
    """A body that was stored, decoded once more: its device is the one it had."""
    decoder = aws.make_decoder(OwnTopic(device=stored.device))
    message = decoder.decode(stored.topic or "", stored.body, stored.event_id)
    return [message] if message else []


def read_envelopes(body: bytes) -> list[Envelope]:
    """The messages in a body, in their order; what is no JSON is one that a rule selected without more."""
    document, _, error = read_document(body)
    if isinstance(document, list) and error is None and 0 < len(document) <= BATCH_LIMIT:
        return [_read_envelope(each, write_json(each)) for each in document]
    return [_read_envelope(document, body)]


def _read_envelope(document: object, body: bytes) -> Envelope:
    event_id = hashlib.sha256(body).hexdigest()
    if not isinstance(document, dict):
        return Envelope(body, event_id)
    item = Item(document)
    topic, client_id = _read_topic(item), item.text("clientid", DEVICE_LIMIT) or ""
    client_id = "" if client_id.lower() in NO_CLIENT else client_id
    own = item.text("id", ID_LIMIT + 1)
    if own and len(own) <= ID_LIMIT:
        event_id = f"aws:{name_own_event(client_id or topic, own)}"
    envelope = Envelope(body, event_id, topic, client_id, document.get("ts"))
    rest = {name: value for name, value in document.items() if name not in OURS}
    if rest.keys() != {BYTES}:
        return replace(envelope, body=write_json(rest) if len(rest) < len(document) else body)
    plain = _read_base64(rest[BYTES])
    return replace(envelope, error=NOT_BASE64) if plain is None else replace(envelope, body=plain)


def _read_base64(value: object) -> bytes | None:
    """The bytes; None for what is no base64, or no text at all: written out, null would be some."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        return None


def _read_topic(item: Item) -> str:
    topic = item.text("topic", TOPIC_LIMIT) or ""
    try:
        return trim_topic(topic) if topic else ""
    except ValueError:
        return ""


def _find_device(aws: AwsIot, envelope: Envelope) -> str | None:
    """The thing of AWS's own topics, else that which `device_topic` names, the client, or the usual place in topics."""
    if reserved := find_reserved(envelope.topic):
        return reserved.device
    named = aws.topic_rules.read(envelope.topic).device if aws.device_topic else None
    return named or envelope.client_id or aws.topic_rules.read(envelope.topic).device


def _is_plain(envelope: Envelope) -> bool:
    """Whether no codec has a say in it: what AWS says itself, and what is no body at all."""
    return envelope.error is not None or find_reserved(envelope.topic) is not None


def _decode(aws: AwsIot, envelope: Envelope, device: str | None) -> Message | None:
    observed_at, doubt = choose_time((envelope.time,), parse_time)
    if envelope.error:
        kept = Message.undecoded(
            envelope.body,
            envelope.error,
            event_id=envelope.event_id,
            device=device,
            topic=envelope.topic or None,
        )
        return replace(kept, observed_at=observed_at)
    message: Message | None
    if reserved := find_reserved(envelope.topic):
        message = read_reserved(reserved, envelope.topic, envelope.body, envelope.event_id)
    else:
        rules = OwnTopic(own_filter=aws.topic_rules.own_filter, device=device)
        message = aws.make_decoder(rules).decode(envelope.topic, envelope.body, envelope.event_id)
    if message is None or message.observed_at:
        return message
    return replace(
        message, observed_at=observed_at, remark=" ".join(filter(None, (message.remark, doubt))) or None
    )


def _make_coded(envelope: Envelope, device: str | None) -> CodedBody:
    observed_at, _ = choose_time((envelope.time,), parse_time)
    known = Message(envelope.event_id, device, topic=envelope.topic or None, observed_at=observed_at)
    return CodedBody(envelope.body, known)
