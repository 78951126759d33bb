"""Publish: one message or call to one person. Twilio has no idempotency keys: after a lost answer it is asked first."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

import orjson

from shared.provider import Deadline, Event, Notice, ProtocolFailed, Wording, is_public, locate_callback
from shared.providers.twilio.api import Account, get_page, post_form

if TYPE_CHECKING:
    from shared.providers.twilio import Twilio, TwilioRecipient

SKEW = timedelta(seconds=60)
"""How much earlier than by our clock a message may be by theirs."""

PAGE = "50"
NOT_TOLD = {"failed", "canceled", "busy", "no-answer"}
"""What has these statuses has reached nobody: it may be made again."""

SPOKEN_LENGTH = 600
WORDS_OF_KEY = "Press 1 to acknowledge."

Form = list[tuple[str, str]]


def tell_person(twilio: Twilio, event: Event, recipient: TwilioRecipient, deadline: Deadline) -> str:
    """Send or call; the SID of what was made."""
    account, wording = Account.of(twilio), twilio.word(event)
    is_call = recipient.by == "voice"
    form = [*(_list_call if is_call else _list_message)(twilio, event, wording, recipient)]
    path, name = ("/Calls", "calls") if is_call else ("/Messages", "messages")
    if event.notice and event.notice.is_repeat:
        text = "" if is_call else wording_of(twilio, wording)
        found = _find_made(get_page(account, path, _query(form), deadline), name, text, event.notice)
        if found:
            return found
    sid = post_form(account, path, form, deadline).get("sid")
    if not isinstance(sid, str) or not sid:
        raise ProtocolFailed("Twilio's answer has no SID.")
    return sid


def wording_of(twilio: Twilio, wording: Wording) -> str:
    """The text of a message: as long as it may be, with what acknowledges it at its end."""
    return wording.cut(twilio.max_length, f" Reply {wording.code} to acknowledge." if wording.code else "")


def _list_message(
    twilio: Twilio, event: Event, wording: Wording, recipient: TwilioRecipient
) -> Iterator[tuple[str, str]]:
    text, is_whatsapp = wording_of(twilio, wording), recipient.by == "whatsapp"
    yield "To", f"whatsapp:{recipient.to}" if is_whatsapp else recipient.to
    if is_whatsapp:
        yield "From", f"whatsapp:{twilio.whatsapp_number}"
    elif twilio.messaging_service_sid:
        yield "MessagingServiceSid", twilio.messaging_service_sid
    else:
        yield "From", twilio.from_number or ""
    if is_whatsapp and twilio.whatsapp_content_sid:
        yield "ContentSid", twilio.whatsapp_content_sid
        yield "ContentVariables", orjson.dumps({"1": text}).decode()
    else:
        yield "Body", text
        yield "SmartEncoded", "true"
    yield "ValidityPeriod", str(twilio.validity_seconds)
    if _is_reached(twilio):
        yield "StatusCallback", locate_callback(twilio.identity, "message", event.id)


def _list_call(
    twilio: Twilio, event: Event, wording: Wording, recipient: TwilioRecipient
) -> Iterator[tuple[str, str]]:
    yield "To", recipient.to
    yield "From", twilio.from_number or ""
    yield "Twiml", make_speech(twilio, event, wording)
    yield "Timeout", str(twilio.ring_seconds)
    if _is_reached(twilio):
        yield "StatusCallback", locate_callback(twilio.identity, "call", event.id)
        yield "StatusCallbackEvent", "initiated"
        yield "StatusCallbackEvent", "completed"


def make_speech(twilio: Twilio, event: Event, wording: Wording) -> str:
    """What is read out, twice; with a key to acknowledge it, where there is something to acknowledge."""
    say = f"<Say language={quoteattr(twilio.language)}>"
    text = _speak(wording.cut(SPOKEN_LENGTH))
    if not wording.code or not _is_reached(twilio):
        return f'<Response>{say}{text}</Say><Pause length="1"/>{say}{text}</Say></Response>'
    action = quoteattr(locate_callback(twilio.identity, "key", event.id))
    begin = f'<Gather numDigits="1" timeout="6" action={action} method="POST">'
    gather = f"{begin}{say}{text} {WORDS_OF_KEY}</Say></Gather>"
    return f"<Response>{gather}{gather}</Response>"


def _speak(text: str) -> str:
    """`text` without what nobody can say, and what would be longer as XML: Twilio takes 4,000 characters of TwiML."""
    return "".join(char if char.isprintable() and char not in "&<>" else " " for char in text)


def _is_reached(twilio: Twilio) -> bool:
    """Whether callbacks would reach us: Twilio refuses an address that is none of the internet's."""
    ours, theirs = locate_callback(twilio.identity), twilio.base_url
    return bool(twilio.identity.integration_id) and (
        is_public(urlsplit(ours).hostname or "") or not is_public(urlsplit(theirs).hostname or "")
    )


def _query(form: Form) -> dict[str, str]:
    """What narrows a look-up: to whom, and from which number where that is known."""
    given = dict(form)
    return {name: given[name] for name in ("To", "From") if given.get(name)} | {"PageSize": PAGE}


def _find_made(page: dict[str, Any], name: str, text: str, notice: Notice) -> str | None:
    """The SID of what was made of this notice already, None where there is none."""
    since = datetime.fromisoformat(notice.tried_at) - SKEW
    listed = page.get(name)
    for made in listed if isinstance(listed, list) else ():
        if isinstance(made, dict) and _is_made(made, text, since) and made.get("sid") not in notice.known:
            return str(made["sid"])
    return None


def _is_made(made: dict[str, Any], text: str, since: datetime) -> bool:
    if not isinstance(made.get("sid"), str) or str(made.get("direction", "outbound-api")).startswith(
        "inbound"
    ):
        return False
    if str(made.get("status")) in NOT_TOLD:
        return False
    try:
        created = parsedate_to_datetime(str(made.get("date_created")))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return False
    created = created if created.tzinfo else created.replace(tzinfo=UTC)
    return created >= since and _says(str(made.get("body", "")), text)


def _says(body: str, text: str) -> bool:
    """Whether that is our text: Twilio may put words of its own before it, and write marks otherwise."""
    plain = _simplify(text)
    return plain in _simplify(body) if plain else text.strip() in body


def _simplify(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())
