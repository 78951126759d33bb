"""What a rule's HTTPS action pushes: one message, or with batching a JSON array of them.

What a rule could not push, its error action has in another form, which is understood too.

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
    read_parts,
    trim_topic,
    write_json,
)
from shared.providers.aws_iot.reserved import find_reserved, name_told, read_reserved

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

OURS = frozenset(("topic", "clientid", "ts", "id"))
BYTES = "payload_base64"
TOPIC_LIMIT, DEVICE_LIMIT, ID_LIMIT = 1_024, 512, 200
LOST = {"topic": "topic", "clientid": "clientId", BYTES: "base64OriginalPayload"}
"""By our names, what an error action is told of a message that a rule could not push: the device's bytes are in it."""
LOST_NAMES = {*LOST.values(), "ruleName", "cloudwatchTraceId", "failures"}
"""All that it is told. A device that sends the same has AWS's names beside it, wherever a rule selects them."""

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
    read = [_read_message(aws, each) for each in read_envelopes(request.body)]
    coded = [each for each in read if isinstance(each, CodedBody)]
    decoded = iter(aws.decode_pushed(coded) if coded else ())
    return [message for each in read for message in (next(decoded) if isinstance(each, CodedBody) else each)]


def read_stored(aws: AwsIot, stored: StoredBody) -> list[Message]:
    """A body that was stored, decoded once more: its device is the one it had."""
    decoder = aws.make_decoder(OwnTopic(device=stored.device))
    message = decoder.decode(stored.topic or "", stored.body, stored.event_id)
    return [message] if message else []


def read_envelopes(body: bytes) -> list[Envelope]:
    """The messages in a body, in their order; what is no JSON is one that a rule selected without more."""
    parts = read_parts(body)
    if not parts.is_list:
        return [_read_envelope(parts.items[0].document if parts.items else None, body)]
    if not 0 < len(parts.items) <= BATCH_LIMIT:
        return [_read_envelope(None, body)]
    return [_read_envelope(each.document, each.body) for each in parts.items]


def _read_envelope(document: object, body: bytes) -> Envelope:
    event_id = hashlib.sha256(body).hexdigest()
    if not isinstance(document, dict):
        return Envelope(body, event_id)
    if document.keys() == LOST_NAMES:
        document = {name: document[told] for name, told in LOST.items()}
    item = Item(document)
    topic, client_id = _read_topic(item), item.text("clientid", DEVICE_LIMIT) or ""
    client_id = "" if client_id.lower() in NO_CLIENT else client_id
    own = item.text("id", ID_LIMIT + 1)
    named = name_own_event(client_id or topic, own) if own and len(own) <= ID_LIMIT else None
    event_id = f"aws:{named}" if named else event_id
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


def _read_message(aws: AwsIot, envelope: Envelope) -> list[Message] | CodedBody:
    """The message, none for our own echo; or what a codec is to decode, which has no say in what AWS says itself."""
    observed_at, doubt = choose_time((envelope.time,), parse_time)
    message = _decode(aws, envelope, _find_device(aws, envelope))
    if isinstance(message, CodedBody):
        known = replace(message.known, topic=envelope.topic or None, observed_at=observed_at)
        return replace(message, known=known)
    if message is None or message.observed_at:
        return [message] if message else []
    remark = " ".join(filter(None, (message.remark, None if message.error else doubt))) or None
    return [replace(message, observed_at=observed_at, remark=remark)]


def _decode(aws: AwsIot, envelope: Envelope, device: str | None) -> Message | CodedBody | None:
    topic, body, event_id = envelope.topic, envelope.body, envelope.event_id
    if envelope.error:
        return Message.undecoded(
            body, envelope.error, event_id=event_id, device=device, topic=envelope.topic or None
        )
    if reserved := find_reserved(topic):
        named = name_told(topic, body) or event_id
        return read_reserved(reserved, topic, body, named, envelope.time)
    decoder = aws.make_decoder(OwnTopic(own_filter=aws.topic_rules.own_filter, device=device))
    read = decoder.prepare if aws.codec else decoder.decode
    return read(topic, body, event_id)
