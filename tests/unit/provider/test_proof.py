"""Every kind of proof, and every way in which it fails: Unauthenticated, whatever came."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PrivateAttr

from shared.provider import (
    Identity,
    Message,
    PushedRequest,
    Receiver,
    make_provider,
    make_secret,
    sign_webhook,
)
from shared.provider.proof import Authentication, Expected, verify_request
from shared.runtime.errors import InvalidConfig, Unauthenticated

NOW, BODY = 1_700_000_000, b'{"temp": 21.5}'
SECRET, OTHER = make_secret(), make_secret()
KINDS: tuple[Authentication, ...] = ("header", "standard-webhooks", "hmac-sha256", "basic")


class Pushed(Receiver):
    """A receiver that makes nothing of what it was sent."""

    def parse(self, request: PushedRequest) -> list[Message]:
        return [Message.undecoded(request.body, "Never decoded.", event_id="1")]


def prove(kind: str, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    """The headers of a sender that has `secret`."""
    if kind == "header":
        return {"x-webhook-secret": secret}
    if kind == "standard-webhooks":
        return sign_webhook([secret], "msg_1", NOW, body)
    if kind == "basic":
        return {"authorization": "Basic " + base64.b64encode(f"golioth:{secret}".encode()).decode()}
    return {"x-webhook-signature": hmac.digest(secret.encode(), body, "sha256").hex()}


def verify(kind: Authentication, headers: dict[str, str], body: bytes = BODY, *secrets: str) -> None:
    expected = Expected(kind, secrets or (SECRET,), "X-Webhook-Secret", "golioth")
    verify_request(expected, headers, body, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_proof_passes_with_each_of_two_secrets(kind: Authentication) -> None:
    for secret in (SECRET, OTHER):
        verify(kind, prove(kind, secret), BODY, SECRET, OTHER)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secrets", [(OTHER,), ()])
def test_the_proof_of_another_secret_is_refused_and_any_where_there_is_none(
    kind: Authentication, secrets: tuple[str, ...]
) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        verify_request(Expected(kind, secrets, "X-Webhook-Secret", "golioth"), prove(kind), BODY, NOW)

    assert SECRET not in refusal.value.detail


@pytest.mark.parametrize("kind", KINDS)
def test_each_missing_or_empty_header_is_refused(kind: Authentication) -> None:
    proof = prove(kind)

    for name in proof:
        for headers in ({key: proof[key] for key in proof if key != name}, proof | {name: ""}, {}):
            with pytest.raises(Unauthenticated):
                verify(kind, headers)


@pytest.mark.parametrize("kind", ["standard-webhooks", "hmac-sha256"])
@pytest.mark.parametrize("body", [b"", BODY + b" ", b'{"temp": 21.6}', b"\xff\xfe"])
def test_a_signature_of_another_body_is_refused(kind: Authentication, body: bytes) -> None:
    with pytest.raises(Unauthenticated):
        verify(kind, prove(kind), body)


def test_the_known_vector_of_github_verifies() -> None:
    proof = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    for headers in (
        {"x-hub-signature-256": proof},
        {"x-webhook-signature": proof.removeprefix("sha256=").upper()},
    ):
        verify("hmac-sha256", headers, b"Hello, World!", "It's a Secret to Everybody")


def sign_timed(timestamp: str) -> dict[str, str]:
    content = f"{timestamp}.".encode() + BODY
    signature = hmac.digest(SECRET.encode(), content, "sha256").hex()
    return {"x-webhook-signature": signature, "x-webhook-timestamp": timestamp}


def test_a_signed_time_within_five_minutes_passes() -> None:
    for seconds in (-300, 0, 300):
        verify("hmac-sha256", sign_timed(str(NOW + seconds)))


@pytest.mark.parametrize(
    "timestamp",
    [str(NOW - 301), str(NOW + 301), "hello", "nan", "Infinity", "1e9", " 1 ", "1_7", "-1", "", "٣"],
)
def test_a_signed_time_that_is_old_or_none_is_refused(timestamp: str) -> None:
    with pytest.raises(Unauthenticated):
        verify("hmac-sha256", sign_timed(timestamp))


def test_a_time_cannot_be_moved_into_the_body() -> None:
    for timestamp in (str(NOW), str(NOW - 9_000), "0", "1" * 15, "00", "1" * 40):
        headers = {"x-webhook-signature": sign_timed(timestamp)["x-webhook-signature"]}

        with pytest.raises(Unauthenticated, match="X-Webhook-Timestamp"):
            verify("hmac-sha256", headers, f"{timestamp}.".encode() + BODY)


def test_a_time_cannot_be_taken_off_or_put_on() -> None:
    without = {"x-webhook-signature": sign_timed(str(NOW))["x-webhook-signature"]}
    put_on = prove("hmac-sha256") | {"x-webhook-timestamp": str(NOW)}

    for headers in (without, put_on):
        with pytest.raises(Unauthenticated):
            verify("hmac-sha256", headers)


@given(st.sampled_from(KINDS), st.text(max_size=60), st.binary(max_size=60))
def test_no_header_does_anything_but_fail(kind: Authentication, value: str, body: bytes) -> None:
    names = ("x-webhook-secret", "webhook-id", "webhook-timestamp", "webhook-signature", "authorization")
    signatures = ("x-webhook-signature", "x-hub-signature-256", "x-webhook-timestamp")

    for changed in (prove(kind) | {name: value} for name in prove(kind)):
        with pytest.raises(Unauthenticated):
            verify(kind, changed, body)
    with pytest.raises(Unauthenticated):
        verify(kind, dict.fromkeys(names + signatures, value), body)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"webhook_authentication": "basic"}, "webhook_username"),
        ({"webhook_authentication": "basic", "webhook_username": "a:b"}, "webhook_username"),
        ({"webhook_authentication": "basic", "webhook_username": ""}, "webhook_username"),
        ({"webhook_username": "golioth"}, "webhook_username"),
        ({"webhook_authentication": "hmac-sha256", "webhook_secret_header": "X-A"}, "webhook_secret_header"),
        ({"webhook_secret_header": "X-A: b"}, "webhook_secret_header"),
        ({"webhook_authentication": "standard-webhooks", "webhook_secret": "phrase"}, "webhook_secret"),
        ({"webhook_authentication": "standard-webhooks", "webhook_secret": "whpk_AAAA"}, "webhook_secret"),
        (
            {
                "webhook_authentication": "standard-webhooks",
                "webhook_secret": SECRET,
                "previous_webhook_secret": "phrase",
            },
            "previous_webhook_secret",
        ),
        ({"webhook_secret": None, "previous_webhook_secret": "phrase"}, "previous_webhook_secret"),
        ({"webhook_authentication": "none"}, "webhook_authentication"),
        ({"webhook_secret": "fifteen-letters"}, "webhook_secret"),
        ({"webhook_secret": SECRET, "previous_webhook_secret": "fifteen-letters"}, "previous_webhook_secret"),
    ],
)
def test_a_contradiction_is_refused_by_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make_provider(Pushed, config, Identity("", "", ""))

    assert [error.field for error in refusal.value.errors] == [field]


class Heard(Receiver):
    """A receiver that keeps what it was given to parse."""

    _given: list[PushedRequest] = PrivateAttr(default_factory=list)

    def parse(self, request: PushedRequest) -> list[Message]:
        self._given.append(request)
        return []


@pytest.mark.parametrize(
    ("kind", "covered"),
    [
        ("standard-webhooks", {"webhook-id", "webhook-timestamp"}),
        ("hmac-sha256", set()),
    ],
)
def test_of_a_signed_request_nothing_is_parsed_but_what_the_signature_covers(
    monkeypatch: pytest.MonkeyPatch, kind: str, covered: set[str]
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    heard = make_provider(
        Heard, {"webhook_authentication": kind, "webhook_secret": SECRET}, Identity("", "", "")
    )
    assert isinstance(heard, Heard)
    headers = prove(kind) | {
        "ce-source": "victim",
        "content-type": "application/cloudevents+json",
        "x-a": "b",
    }

    heard.receive(PushedRequest(headers, BODY, "line/3", "device=victim"))

    (given,) = heard._given
    assert ({*given.headers}, given.body, given.path, given.query) == (covered, BODY, "", {})
    assert given.is_signed


def as_svix(proof: dict[str, str]) -> dict[str, str]:
    return {name.replace("webhook-", "svix-"): value for name, value in proof.items()}


def receive_signed(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> PushedRequest:
    """What of a request is parsed by a receiver that asks for Standard Webhooks."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    config = {"webhook_authentication": "standard-webhooks", "webhook_secret": SECRET}
    heard = make_provider(Heard, config, Identity("", "", ""))
    assert isinstance(heard, Heard)
    heard.receive(PushedRequest(headers, BODY))
    return heard._given[0]


def test_what_svix_signs_is_proven_and_known_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = prove("standard-webhooks")

    given = receive_signed(monkeypatch, as_svix(proof))

    assert given == receive_signed(monkeypatch, proof)
    assert {*given.headers} == {"webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
@pytest.mark.parametrize("prefix", ["svix", "webhook"])
def test_who_adds_a_header_of_the_other_names_does_not_choose_the_id(
    monkeypatch: pytest.MonkeyPatch, prefix: str, name: str
) -> None:
    proof = prove("standard-webhooks")
    seen = as_svix(proof) if prefix == "webhook" else proof
    added = seen | {f"{prefix}-{name}": proof[f"webhook-{name}"].replace("1", "2") + "x"}

    if prefix == "webhook":
        with pytest.raises(Unauthenticated):
            receive_signed(monkeypatch, added)
    else:
        assert receive_signed(monkeypatch, added).headers["webhook-id"] == proof["webhook-id"]


def test_a_secret_comes_along_with_everything_its_sender_says() -> None:
    heard = make_provider(Heard, {"webhook_secret": SECRET}, Identity("", "", ""))
    assert isinstance(heard, Heard)
    request = PushedRequest(prove("header") | {"ce-source": "a"}, BODY, "line/3", "x=1")

    heard.receive(request)

    assert heard._given == [request]


def test_a_public_key_is_enough_to_verify_with() -> None:
    key = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
    config = {"webhook_authentication": "standard-webhooks", "webhook_secret": key}

    assert make_provider(Pushed, config, Identity("", "", ""))
