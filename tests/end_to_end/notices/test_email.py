"""E-mail: over TLS to a server that asks who signs in; one thread an alert; unsubscribed at once."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.providers.email import publish
from tests.end_to_end.notices.telling import Telling
from tests.fakes.certificates import PemAuthority
from tests.fakes.smtp import PASSWORD, USER, FakeSmtp

AUTHORITY = PemAuthority()
ADA, BOB = {"name": "Ada", "to": "ada@acme.test"}, {"name": "Bob", "to": "bob@acme.test"}


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return make_tls(tmp_path)


def make_tls(folder: Path, **fields: Any) -> ssl.SSLContext:
    certificate = AUTHORITY.issue("mail", **fields)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_pair(folder, certificate))
    return context


def write_pair(folder: Path, certificate: Any) -> tuple[Path, Path]:
    chain, key = folder / "mail.pem", folder / "mail.key"
    chain.write_text(certificate.certificate)
    key.write_text(certificate.key)
    return chain, key


@pytest.fixture(params=["starttls", "tls"])
def smtp(request: pytest.FixtureRequest, tls: ssl.SSLContext) -> Iterator[FakeSmtp]:
    with FakeSmtp(tls, at_once=request.param == "tls") as fake:
        yield fake


def subscribe(telling: Telling, smtp: FakeSmtp, *recipients: dict[str, Any], **config: Any) -> str:
    base = {
        "server_url": f"{'smtps' if smtp.at_once else 'smtp'}://127.0.0.1:{smtp.port}",
        "ca_certificate": AUTHORITY.pem,
        "username": USER,
        "password": PASSWORD,
        "from_address": "alerts@acme.test",
        "from_name": "Plänt",
        "recipients": list(recipients) or [ADA],
    }
    return str(telling.admin.create("email", base | config)["id"])


def test_an_alert_is_one_thread_of_plain_and_html_mails(telling: Telling, smtp: FakeSmtp) -> None:
    subscribe(telling, smtp, text_template="<b>{{ payload.status }}</b> ü")
    source = telling.make_source()
    telling.raise_alert(source)
    telling.work()
    telling.resolve_alerts(source)
    telling.work()

    raised, resolved = smtp.to("ada@acme.test")
    assert raised["Subject"] == resolved["Subject"]
    assert resolved["References"] == resolved["In-Reply-To"] == raised["Message-ID"]
    assert raised["Message-ID"] != resolved["Message-ID"]
    assert raised["From"] == "Plänt <alerts@acme.test>"
    plain, page = raised.get_body(("plain",)), raised.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert plain.get_content().startswith("<b>firing</b> ü")
    assert "&lt;b&gt;firing&lt;/b&gt; ü" in page.get_content()


@pytest.mark.parametrize("ways", ["PLAIN LOGIN", "LOGIN"])
def test_it_signs_in_by_what_the_server_offers(telling: Telling, tls: ssl.SSLContext, ways: str) -> None:
    with FakeSmtp(tls) as smtp:
        smtp.ways = ways
        subscribe(telling, smtp)
        telling.raise_alert(telling.make_source())
        telling.work()

    assert len(smtp.mails) == 1


def test_a_wrong_password_and_a_wrong_address_have_their_words_and_others_are_told(
    telling: Telling, tls: ssl.SSLContext
) -> None:
    with FakeSmtp(tls) as smtp:
        smtp.refusals["ada@acme.test"] = "550 5.1.1 no such mailbox ada@acme.test"
        notifier = subscribe(telling, smtp, ADA, BOB)
        wrong = subscribe(telling, smtp, BOB, password="wrong")
        telling.raise_alert(telling.make_source())
        telling.work()

    told = {name: (status, error) for name, status, error in telling.show(notifier)}
    assert told["Bob"] == ("delivered", None)
    words = "recipient_refused: The mail server takes no mail for the address (550): see whether it is right."
    assert told["Ada"] == ("dead", words)
    assert [kind for kind, _ in telling.list_alerts(notifier)] == ["notice.unreachable"]
    ((_, status, error),) = telling.show(wrong)[:1]
    assert (status, (error or "").partition(":")[0]) == ("pending", "account_refused")
    assert [kind for kind, _ in telling.list_alerts(wrong)] == ["notice.account"]


def test_without_tls_nothing_is_sent(telling: Telling) -> None:
    with FakeSmtp() as smtp:
        notifier = subscribe(telling, smtp)
        telling.raise_alert(telling.make_source())
        telling.work()

    assert smtp.mails == []
    assert not [line for line in smtp.heard if line.startswith("AUTH")]
    ((_, _, error),) = telling.show(notifier)
    assert "has no STARTTLS" in (error or "")


def test_a_certificate_of_somebody_else_is_refused(telling: Telling, tls: ssl.SSLContext) -> None:
    with FakeSmtp(tls) as smtp:
        notifier = subscribe(telling, smtp, ca_certificate=None)
        telling.raise_alert(telling.make_source())
        telling.work()

    ((_, _, error),) = telling.show(notifier)
    assert (error or "").startswith("tls_error: The certificate of the mail server is refused")
    assert smtp.mails == []


def test_a_mail_whose_answer_was_lost_comes_again_under_the_same_message_id(
    telling: Telling, tls: ssl.SSLContext
) -> None:
    with FakeSmtp(tls) as smtp:
        smtp.hang, smtp.seconds = 1, 4.0
        subscribe(telling, smtp)
        telling.raise_alert(telling.make_source())
        with pytest.MonkeyPatch.context() as impatient:
            impatient.setattr(publish, "SEND_SECONDS", 2.0)
            telling.work()
        telling.make_due()
        telling.work()

    first, second = smtp.to("ada@acme.test")
    assert first.as_bytes() == second.as_bytes() or first["Message-ID"] == second["Message-ID"]


def test_one_click_ends_the_mail_and_another_begins_it_again(telling: Telling, tls: ssl.SSLContext) -> None:
    with FakeSmtp(tls) as smtp:
        subscribe(telling, smtp)
        telling.raise_alert(telling.make_source())
        telling.work()
        (mail,) = smtp.mails
        assert mail[1]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        (link,) = re.findall(
            r"<(http[^>]+)>", str(mail[1]["List-Unsubscribe"]).replace("\n", "").replace(" ", "")
        )
        forged = httpx.post(
            link[:-1] + ("0" if link[-1] != "0" else "1"), data={"List-Unsubscribe": "One-Click"}, timeout=60
        )
        reply = httpx.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=60)
        telling.raise_alert(telling.make_source(), "webhook.gone")
        telling.work()
        ended = len(smtp.mails)
        httpx.post(reply.text.strip().rpartition(" ")[2].strip("'"), timeout=60)
        telling.raise_alert(telling.make_source(), "webhook.disabled")
        telling.work()

    assert forged.status_code == 401
    assert reply.status_code == 200
    assert ended == 1
    assert len(smtp.mails) == 2


def test_the_connection_test_signs_in_and_sends_where_it_is_asked_to(
    telling: Telling, tls: ssl.SSLContext
) -> None:
    with FakeSmtp(tls) as smtp:
        notifier = subscribe(telling, smtp)
        path = f"/integrations/{notifier}/test"
        plain = telling.admin.call("POST", path).json()
        none = len(smtp.mails)
        sent = telling.admin.call("POST", path, json={"config": {"test_recipient": "Ada"}}).json()

    assert plain["ok"], plain
    assert "signed in" in plain["checks"][0]["detail"]
    assert none == 0
    assert sent["ok"], sent
    assert len(smtp.mails) == 1
