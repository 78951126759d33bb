"""Publish: one mail to one person, plain and as HTML; what is told of one alert stands in one thread."""

from __future__ import annotations

import html
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.provider import Deadline, Event, Wording
from shared.providers.email.smtp import Server, SmtpConnection

if TYPE_CHECKING:
    from shared.providers.email import Email, EmailRecipient

SEND_SECONDS = 15.0
TEXT_LENGTH = 20_000
WHOLE = frozenset({"Message-ID", "In-Reply-To", "References", "List-Unsubscribe", "List-Unsubscribe-Post"})
COLOURS = {"error": "#b3261e", "warning": "#8a5a00"}


class _Policy(EmailPolicy):
    """Headers of ids and addresses stay as they are: folded they become encoded words, which no program reads there."""

    def fold(self, name: str, value: Any) -> str:
        return f"{name}: {value}{self.linesep}" if name in WHOLE else super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii") if name in WHOLE else super().fold_binary(name, value)


POLICY = _Policy(linesep="\r\n", cte_type="7bit")


def send_mail(email: Email, event: Event, recipient: EmailRecipient, deadline: Deadline) -> str:
    """Hand it over; its Message-ID."""
    message = make_mail(email, event, recipient)
    with SmtpConnection(find_server(email), deadline.within(SEND_SECONDS)) as connection:
        connection.send(email.from_address, recipient.to, message.as_bytes())
    return str(message["Message-ID"])


def find_server(email: Email) -> Server:
    """The server of a config."""
    from shared.providers.email import split_server

    scheme, host, port = split_server(email.server_url)
    password = email.password.get_secret_value() if email.password else ""
    return Server(
        *(host, port, scheme == "smtps", email.allow_plain, email.ca_certificate, email.username),
        password=password,
    )


def make_mail(email: Email, event: Event, recipient: EmailRecipient) -> EmailMessage:
    """The mail of one event; the same again, with the same Message-ID, at every attempt."""
    wording = email.word(event)
    message = EmailMessage(POLICY)
    message["From"] = _join(email.from_name, email.from_address)
    message["To"] = _join(None, recipient.to)
    if email.reply_to:
        message["Reply-To"] = _join(None, email.reply_to)
    message["Date"] = format_datetime(
        datetime.fromisoformat(event.notice.tried_at if event.notice else event.at)
    )
    message["Subject"] = _name_subject(wording)
    _add_thread(message, email, event)
    message["Auto-Submitted"] = "auto-generated"
    link = email.link("unsubscribe", recipient.to)
    if link:
        asked = quote(email.reply_to or email.from_address, safe="@")
        message["List-Unsubscribe"] = f"<{link}>, <mailto:{asked}?subject=unsubscribe>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(wording.cut(TEXT_LENGTH, f"\n\n{wording.url}\n" if wording.url else "\n"))
    message.add_alternative(_make_html(wording), subtype="html")
    return message


def _name_subject(wording: Wording) -> str:
    """The same for all of one alert, which some mail programs take for what makes a thread."""
    return wording.title if len(wording.title) <= 150 else f"{wording.title[:149]}…"  # noqa: PLR2004 - what is read of it


def _add_thread(message: EmailMessage, email: Email, event: Event) -> None:
    domain = email.from_address.rpartition("@")[2]
    notice, payload = event.notice, event.payload
    own = f"<{event.id}@{domain}>"
    if not event.type.startswith("alert.") or not isinstance(payload, dict) or (notice and notice.count):
        message["Message-ID"] = own
        return
    place = email.identity.integration_id
    root = f"<alert-{payload.get('id')}-{place}-{_number(email, event)}@{domain}>"
    is_first = event.type == "alert.raised" and not (notice and notice.earlier)
    message["Message-ID"] = root if is_first else own
    if not is_first:
        message["In-Reply-To"] = notice.earlier if notice and notice.earlier else root
        message["References"] = root


def _number(email: Email, event: Event) -> int:
    """Which of the recipients it is: each has a thread of their own."""
    name = event.notice.recipient if event.notice else ""
    return next((n for n, each in enumerate(email.recipients) if each.name == name), 0)


def _make_html(wording: Wording) -> str:
    colour = "#1b6e3c" if wording.is_over else COLOURS.get(wording.level, "#333333")
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in wording.lines)
    body = (
        f"<ul>{lines}</ul>" if len(wording.lines) > 1 else f"<p>{html.escape(wording.cut(TEXT_LENGTH))}</p>"
    )
    body = "" if wording.is_in_title else body
    link = (
        f'<p><a href="{html.escape(wording.url)}">{html.escape(wording.url)}</a></p>' if wording.url else ""
    )
    title = f'<h2 style="color:{colour};font-size:18px">{html.escape(wording.title)}</h2>'
    return f'<!doctype html><html><body style="font-family:sans-serif">{title}{body}{link}</body></html>\n'


def _join(name: str | None, address: str) -> MailAddress:
    return MailAddress(name or "", addr_spec=address)
