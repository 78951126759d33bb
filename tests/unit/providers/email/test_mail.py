"""Mail about what anybody may have named: each header is one line, whatever is in a name, and each mail ends."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from shared.provider import Event, EventDevice, Identity, Notice, load_provider
from shared.providers.email import Email
from shared.providers.email.publish import TEXT_LENGTH, make_mail
from shared.runtime.settings import load_settings

IDENTITY = Identity("o", "i", "email", "Duty")
HEADERS = {"From", "To", "Date", "Subject", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
ENDS = ("\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029", "\x00")


def mail(event_type: str = "alert.raised", *, device: str | None = None, **more: Any) -> EmailMessage:
    config = {name: more.pop(name) for name in ("text_template", "from_name") if name in more}
    email = Email.model_validate(
        {
            "server_url": "smtp://mail.example.com",
            "from_address": "alerts@example.com",
            "recipients": [{"name": "Ada", "to": "ada@example.com"}],
            **config,
        }
    )
    at = "2026-01-01T00:00:00+00:00"
    told = EventDevice(None, device, None) if device else None
    payload = {
        "id": "1",
        "kind": "webhook.failing",
        "integration_name": "Plant",
        "message": "It fails.",
    } | more
    event = Event(
        "e", event_type, "alert", at, "o", IDENTITY, told, payload=payload, notice=Notice("Ada", at)
    )
    return message_from_bytes(make_mail(email, event, email.recipients[0]).as_bytes(), policy=default)


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_line_in_a_name_begins_no_header(end: str) -> None:
    evil = f"Plant{end}Bcc: eve@example.com"

    mails = [
        mail(integration_name=evil),
        mail(message=evil),
        mail(text_template=evil.replace("\x00", " ")),
        mail("device.offline", device=evil),
        mail("device.offline", device="pump", text_template="{{ device.external_id }}" + evil),
    ]

    assert [{*made.keys()} for made in mails] == [HEADERS] * len(mails)
    assert [len(str(made["Subject"]).splitlines()) for made in mails] == [1] * len(mails)


def test_links_and_ids_are_written_as_programs_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"{'mail.' * 12}example.com"
    config = {
        "server_url": "smtp://mail.example.com",
        "from_address": f"a+b&c%d@{long}",
        "recipients": [{"name": "Ada", "to": "ada@example.com"}],
        "unsubscribe_secret": "x" * 43,
    }
    monkeypatch.setenv("FUNCTIONS_URL", "https://abcdefghijklmnopqrst.supabase.co/functions/v1")
    load_settings.cache_clear()
    identity = Identity("o", "6395960a-da1c-4822-84d4-26daa8b2296e", "email", "Duty")
    email = load_provider(config, identity)
    assert isinstance(email, Email)
    at = "2026-01-01T00:00:00+00:00"
    event = Event(
        "8b92cd62-f74a-4d7c-9b99-8df8e2886277", "alert.resolved", "alert", at, "o", identity,
        payload={"id": "1"}, notice=Notice("Ada", at),
    )  # fmt: skip

    written = make_mail(email, event, email.recipients[0]).as_bytes().decode("ascii")

    load_settings.cache_clear()
    lines = dict(
        line.split(": ", 1) for line in written.partition("\r\n\r\n")[0].split("\r\n") if ": " in line
    )
    link = email.link("unsubscribe", "ada@example.com")
    assert lines["List-Unsubscribe"] == f"<{link}>, <mailto:a%2Bb%26c%25d@{long}?subject=unsubscribe>"
    assert lines["Message-ID"] == f"<8b92cd62-f74a-4d7c-9b99-8df8e2886277@{long}>"
    assert lines["References"] == f"<alert-1-{identity.integration_id}-0@{long}>"


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u202e"])
def test_a_sender_may_be_called_anything(end: str) -> None:
    made = mail(from_name=f"Duty{end}Bcc: eve@example.com")

    assert {*made.keys()} == HEADERS
    assert made["From"].addresses[0].addr_spec == "alerts@example.com"


def test_however_much_is_told_a_mail_ends() -> None:
    template = "{{ payload.long }}" * 20
    made = mail(text_template=template, long="<&" * 5_000)

    bodies = [made.get_body((kind,)) for kind in ("plain", "html")]
    assert [len(body.get_content()) < 6 * TEXT_LENGTH for body in bodies if body] == [True, True]
