"""What people write and Twilio says, whatever is in the fields; what a call says of what anybody may have named."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import BadRequest, Event, Identity, OptOut, PushedRequest, Unauthenticated, load_provider
from shared.providers.twilio import Twilio
from shared.providers.twilio.callback import read_callback
from shared.providers.twilio.publish import SPOKEN_LENGTH, make_speech
from shared.runtime.errors import InvalidConfig

TWIML_LENGTH = 4_000
ADA = {"name": "Ada", "to": "+491701234567"}
FORM = "application/x-www-form-urlencoded"
PLACE = "6a337e11-2417-4a92-be53-f695ab6f2ebc"
IDENTITY = Identity("o", PLACE, "twilio", "Duty")


def make(**config: Any) -> Twilio:
    base = {"account_sid": f"AC{'0' * 32}", "auth_token": "token", "from_number": "+15005550006"}
    return Twilio.model_validate(base | {"recipients": [ADA]} | config)


def request(body: bytes, path: str = "inbound") -> PushedRequest:
    return PushedRequest({"content-type": FORM}, body, path, "")


def write(text: str, **fields: str) -> PushedRequest:
    return request(urlencode({"MessageSid": "SM1", "From": ADA["to"], "Body": text, **fields}).encode())


@pytest.mark.parametrize("text", ["STOP", " stop\n", "Unsubscribe", "QUIT"])
def test_stop_is_heeded_also_where_twilio_does_not_say_that_it_has(text: str) -> None:
    assert read_callback(write(text), make().recipients).opt_outs == (OptOut.of(ADA["to"], is_out=True),)


@pytest.mark.parametrize(
    ("text", "said", "out"),
    [("start", "", False), ("unstop", "", False), ("Hello", "STOP", True), ("STOP", "HELP", None)]
    + [(text, "", None) for text in ("Stop it, please", "stopped", "")],
)
def test_only_the_word_itself_is_a_wish_and_twilio_knows_better(
    text: str,
    said: str,
    out: bool | None,  # noqa: FBT001 - a case
) -> None:
    heard = read_callback(write(text, **({"OptOutType": said} if said else {})), make().recipients)

    assert [each.is_out for each in heard.opt_outs] == ([] if out is None else [out])


NAMES = st.sampled_from(["MessageSid", "From", "Body", "Digits", "CallSid", "CallStatus", "x"])
PATHS = st.sampled_from(
    ["inbound", "message/x", "", "key/", *(f"{way}/{PLACE}" for way in ("message", "call"))]
)


@given(st.lists(st.tuples(NAMES, st.text())), PATHS)
def test_whatever_stands_in_a_form_is_read_or_refused(fields: list[tuple[str, str]], path: str) -> None:
    body = "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in fields).encode()

    try:
        heard = read_callback(request(body, path), make().recipients)
    except BadRequest:
        return
    assert len(heard.messages) + len(heard.reports) + len(heard.acknowledgements) <= 4


@pytest.mark.parametrize("body", [b"\xff=1", b"a=%ff%fe", b"a=%ED%A0%80", b"&".join([b"a=1"] * 501)])
def test_a_form_that_can_not_be_signed_is_refused(body: bytes) -> None:
    with pytest.raises(Unauthenticated):
        read_callback(request(body), make().recipients)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_proves_nothing_and_is_refused(key: str) -> None:
    with pytest.raises((InvalidConfig, ValueError)):
        make(signing_keys={"K1": key})


@pytest.mark.parametrize(
    "text", ["&" * 1_000, "<b>" * 1_000, '"' * 1_000, "\u2028\x00\ufffe" * 400, "ü😀" * 500]
)
def test_twilio_takes_what_is_said_whatever_it_is(text: str) -> None:
    config = {"account_sid": f"AC{'0' * 32}", "auth_token": "token", "from_number": "+15005550006"}
    told = {"recipients": [ADA | {"by": "voice"}], "text_template": "{{ payload.message }}"}
    twilio = load_provider(config | told | {"base_url": "https://twilio.internal"}, IDENTITY)
    assert isinstance(twilio, Twilio)
    payload = {"kind": "test", "level": "error", "message": text, "code": "K7Q2M", "integration_name": text}
    event = Event("e", "alert.raised", "alert", "2026-01-01T00:00:00+00:00", "o", IDENTITY, payload=payload)

    speech = make_speech(twilio, event, twilio.word(event))

    assert len(speech) <= TWIML_LENGTH
    said = ["".join(each.itertext()) for each in ET.fromstring(speech).iter("Say")]  # noqa: S314 - our own
    assert len(said) == 2
    assert all(len(each) <= SPOKEN_LENGTH + 30 for each in said)
