"""Callback: what Twilio says of messages and calls, and what people write or press; it is answered in TwiML."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from shared.provider import (
    Acknowledged,
    Acknowledgement,
    BadRequest,
    Callback,
    DeliveryReport,
    Message,
    OptOut,
    PushedRequest,
    TextReply,
)
from shared.providers.twilio.api import explain_code
from shared.providers.twilio.signature import read_fields

if TYPE_CHECKING:
    from shared.providers.twilio import TwilioRecipient

CODE = re.compile(r"(?<![A-Za-z0-9])[BCDFGHJKLMNPQRSTVWXZ2456789]{5}(?![A-Za-z0-9])", re.IGNORECASE)
MOST_CODES = 3
MOST_MEDIA = 10
TEXT_LENGTH = 4_000
LOST = {"undelivered", "failed"}
UNANSWERED = {"busy": "The line was busy.", "no-answer": "Nobody answered.", "failed": "The call failed."}

STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
START = frozenset({"START", "YES", "UNSTOP"})
"""Twilio's own words, which it heeds as well where it does not say by OptOutType that it has."""

Fields = Mapping[str, str]


def read_callback(request: PushedRequest, recipients: Sequence[TwilioRecipient]) -> Callback:
    """What a callback says, by the address it came to."""
    way, _, delivery_id = request.path.partition("/")
    fields = {name: values[0] for name, values in read_fields(request).items()}
    if way in {"", "inbound"}:
        return _read_inbound(fields, recipients)
    delivery_id = _read_id(delivery_id)
    if way == "message":
        return Callback(reports=_report_message(fields, delivery_id))
    if way == "call":
        return Callback(reports=_report_call(fields, delivery_id))
    if way == "key":
        pressed = fields.get("Digits") == "1"
        names = _list_names(fields.get("To", ""), recipients) if pressed else []
        return Callback(acknowledgements=tuple(Acknowledgement(name, "", delivery_id) for name in names))
    raise BadRequest("Nothing is called back at this address; see docs/twilio.md.")


def answer_callback(request: PushedRequest, told: Sequence[Acknowledged | None], language: str) -> TextReply:
    """TwiML for those that are spoken or written to; nothing to reports."""
    way = request.path.partition("/")[0]
    alert = next((each for each in told if each), None)
    if way == "key":
        words = "Acknowledged. Goodbye." if alert else "Nothing was acknowledged. Goodbye."
        return _write(f"<Say language={quoteattr(language)}>{words}</Say>")
    if way in {"", "inbound"}:
        if not alert:
            return _write("")
        over = " It is over already." if alert["is_over"] else ""
        return _write(
            f"<Message>{escape(alert['code'])} acknowledged: {escape(alert['kind'])}.{over}</Message>"
        )
    return TextReply("")


def _read_inbound(fields: Fields, recipients: Sequence[TwilioRecipient]) -> Callback:
    """Somebody's message: an event of theirs, and never a command, for a sender's number can be forged."""
    sid, number = fields.get("MessageSid", ""), fields.get("From", "")
    if not sid or not number:
        raise BadRequest("A message has MessageSid and From.")
    text = fields.get("Body", "")[:TEXT_LENGTH]
    message = Message(sid, number, "event", "inbound", _describe_inbound(fields, text))
    codes = list(dict.fromkeys(CODE.findall(text)))[:MOST_CODES]
    names = _list_names(number, recipients)
    said = tuple(Acknowledgement(name, code.upper()) for code in codes for name in names)
    wish = (fields.get("OptOutType") or text).strip().upper()
    out = (OptOut.of(_strip_way(number), is_out=wish in STOP),) if wish in STOP | START else ()
    return Callback((message,), acknowledgements=said, opt_outs=out)


def _describe_inbound(fields: Fields, text: str) -> dict[str, object]:
    media = [fields[f"MediaUrl{n}"] for n in range(MOST_MEDIA) if f"MediaUrl{n}" in fields]
    told: dict[str, object] = {
        "from": fields.get("From"),
        "to": fields.get("To"),
        "text": text,
        "media": media,
    }
    return told | ({"opt_out_type": fields["OptOutType"]} if fields.get("OptOutType") else {})


def _report_message(fields: Fields, delivery_id: str) -> tuple[DeliveryReport, ...]:
    sid, status = fields.get("MessageSid", ""), fields.get("MessageStatus", "")
    if not sid or not status:
        raise BadRequest("A report has MessageSid and MessageStatus.")
    if status not in LOST:
        return (DeliveryReport(delivery_id, sid, status),)
    return (
        DeliveryReport(delivery_id, sid, status, "undelivered", explain_code(fields.get("ErrorCode", ""))),
    )


def _report_call(fields: Fields, delivery_id: str) -> tuple[DeliveryReport, ...]:
    sid, status = fields.get("CallSid", ""), fields.get("CallStatus", "")
    if not sid or not status:
        raise BadRequest("A report has CallSid and CallStatus.")
    if status in UNANSWERED:
        return (DeliveryReport(delivery_id, sid, status, "again", UNANSWERED[status]),)
    return (DeliveryReport(delivery_id, sid, status),)


def _list_names(number: str, recipients: Sequence[TwilioRecipient]) -> list[str]:
    """Who has that number."""
    return [recipient.name for recipient in recipients if recipient.to == _strip_way(number)]


def _strip_way(number: str) -> str:
    return number.removeprefix("whatsapp:")


def _read_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise BadRequest("The address names no delivery.") from None


def _write(inside: str) -> TextReply:
    return TextReply(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>', "text/xml")
