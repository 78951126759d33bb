"""Standard Webhooks 1.0.0: the vectors of its specification and libraries, and everything that must be refused."""

from __future__ import annotations

import base64
import hmac
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Oracle

from shared.provider import check_secret, make_secret, sign_webhook, verify_webhook
from shared.provider.standard_webhooks import SIGNATURE_LIMIT
from shared.runtime.errors import Unauthenticated

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
MESSAGE, NOW, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
V1 = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
V1A = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
VECTORS = [
    pytest.param(SECRET, MESSAGE, NOW, BODY, V1, id="SW-1"),
    pytest.param(PRIVATE, MESSAGE, NOW, BODY, V1A, id="SW-2"),
    pytest.param(
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        "msg_loFOjxBNrRLzqYUf",
        1731705121,
        b'{"event_type":"ping","data":{"success":true}}',
        "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        id="SW-3",
    ),
]


def headers_with(**changed: str | None) -> dict[str, str]:
    headers = {"webhook_id": MESSAGE, "webhook_timestamp": str(NOW), "webhook_signature": V1, **changed}
    return {name.replace("_", "-"): value for name, value in headers.items() if value is not None}


def refuse(
    headers: dict[str, str], body: bytes = BODY, keys: tuple[str, ...] = (SECRET,), now: float = NOW
) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verify_webhook(keys, headers, body, now)
    return caught.value.detail


@pytest.mark.parametrize(("secret", "message_id", "timestamp", "body", "signature"), VECTORS)
def test_the_vectors_of_the_specification_are_signed_to_the_byte(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    headers = sign_webhook([secret], message_id, timestamp, body)

    assert headers == {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_secret_of_any_length_signs_as_hmac_says(length: int) -> None:
    key = bytes(range(length))
    expected = hmac.digest(key, b"%s.%d.%s" % (MESSAGE.encode(), NOW, BODY), "sha256")

    headers = sign_webhook([base64.b64encode(key).decode()], MESSAGE, NOW, BODY)

    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


@pytest.mark.parametrize(("secret", "message_id", "timestamp", "body", "signature"), VECTORS)
def test_the_vectors_of_the_specification_are_verified(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }

    verify_webhook([secret], headers, body, timestamp)


def test_a_public_key_verifies_what_its_secret_key_signed() -> None:
    verify_webhook([PUBLIC], headers_with(webhook_signature=V1A), BODY, NOW)


def test_each_of_several_secrets_signs_in_their_order() -> None:
    assert sign_webhook([SECRET, PRIVATE], MESSAGE, NOW, BODY)["webhook-signature"] == f"{V1} {V1A}"


def test_without_secrets_there_is_an_id_and_a_time_but_no_signature() -> None:
    assert sign_webhook([], MESSAGE, NOW, BODY) == headers_with(webhook_signature=None)


def test_the_reference_library_verifies_what_we_send() -> None:
    body, secret = json.dumps({"test": "ü"}).encode(), make_secret()

    headers = sign_webhook([make_secret(), secret], MESSAGE, int(time.time()), body)

    assert Oracle(secret).verify(body, headers) == {"test": "ü"}


def test_we_verify_what_the_reference_library_signs() -> None:
    signature = Oracle(SECRET).sign(MESSAGE, datetime.fromtimestamp(NOW, UTC), BODY.decode())

    verify_webhook([SECRET], headers_with(webhook_signature=signature), BODY, NOW)


def test_one_right_signature_among_wrong_and_unknown_ones_is_enough() -> None:
    wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    signatures = f"{wrong} v2,abc nonsense v1,%% {V1A} {V1}"

    verify_webhook([SECRET], headers_with(webhook_signature=signatures), BODY, NOW)


def test_either_secret_of_a_rotation_verifies() -> None:
    verify_webhook([make_secret(), SECRET], headers_with(), BODY, NOW)


def test_header_names_may_have_any_letter_case() -> None:
    verify_webhook([SECRET], {name.title(): value for name, value in headers_with().items()}, BODY, NOW)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", "ü".encode(), b"not JSON"])
def test_any_bytes_can_be_signed_and_verified(body: bytes) -> None:
    for key in (SECRET, PRIVATE):
        verify_webhook([key], sign_webhook([key], MESSAGE, NOW, body), body, NOW)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_clock_within_the_tolerance_is_accepted(seconds: int) -> None:
    verify_webhook([SECRET], headers_with(), BODY, NOW + seconds)


@pytest.mark.parametrize("seconds", [-301, 301, -1e12])
def test_a_clock_beyond_the_tolerance_is_refused_and_named(seconds: float) -> None:
    assert "webhook-timestamp" in refuse(headers_with(), now=NOW + seconds)


@pytest.mark.parametrize("name", ["webhook_id", "webhook_timestamp", "webhook_signature"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_refused_and_named(name: str, value: str | None) -> None:
    assert name.replace("_", "-") in refuse(headers_with(**{name: value}))


@pytest.mark.parametrize(
    "timestamp",
    [*("hello", "nan", "Infinity", "-inf", "1e9", " 1 ", "1_7", f" {NOW}", f"{NOW}.0", f"+{NOW}", f"0{NOW}"),
     *("-1", "१६१४२६५३३०", "9" * 5000, f"{NOW}\n", "0x1")],
)  # fmt: skip
def test_a_timestamp_that_is_not_plain_seconds_is_refused(timestamp: str) -> None:
    assert "webhook-timestamp" in refuse(headers_with(webhook_timestamp=timestamp))


@pytest.mark.parametrize("message_id", ["a.b", "a b", "ü", "a\n", "x" * 257, "\ud800"])
def test_an_id_that_could_be_mistaken_for_more_is_refused(message_id: str) -> None:
    assert "webhook-id" in refuse(headers_with(webhook_id=message_id))
    with pytest.raises(ValueError, match="webhook-id"):
        sign_webhook([SECRET], message_id, NOW, BODY)


@pytest.mark.parametrize(
    "signature",
    [
        *(
            V1.removeprefix("v1,"),
            V1.replace("v1,", "v2,"),
            V1.replace("v1,", "v1a,"),
            V1.replace("v1,", "V1,"),
        ),
        *(
            V1.replace(",", ""),
            V1.replace(",", ",,"),
            V1.replace(",", ", "),
            V1.rstrip("="),
            V1 + "=",
            V1 + ",",
        ),
        *("v1,", ",", "v1", " ", "  ", "v1,====", "v1,é", "v1,\ud800", "v1a,é", "v1a," + "A" * 7, V1.lower()),
        V1.replace(" ", "").replace("g0hM", "g0h M"),
    ],
)
def test_a_malformed_or_foreign_signature_is_refused(signature: str) -> None:
    for keys in ((SECRET,), (PUBLIC,), (PRIVATE,), (SECRET, PUBLIC)):
        assert "webhook-signature" in refuse(headers_with(webhook_signature=signature), keys=keys)


def test_spaces_around_a_right_signature_do_no_harm() -> None:
    verify_webhook([SECRET], headers_with(webhook_signature=f"  {V1}  {V1A} "), BODY, NOW)


def test_more_signatures_than_anybody_rotates_are_not_looked_at() -> None:
    signatures = " ".join([V1A] * SIGNATURE_LIMIT + [V1])

    assert "webhook-signature" in refuse(headers_with(webhook_signature=signatures))


def test_a_signature_is_good_only_for_its_own_kind_of_key() -> None:
    refuse(headers_with(webhook_signature=V1), keys=(PUBLIC,))
    refuse(headers_with(webhook_signature=V1A), keys=(SECRET,))
    refuse(headers_with(), keys=(make_secret(),))
    refuse(headers_with(), keys=())


@pytest.mark.parametrize(
    "key", ["", "whsec_", "whpk_", "whsk_", "whpk_AAAA", "whsk_AAAA", "not base64!", "whsec_a"]
)
def test_a_receivers_malformed_key_lets_nobody_in(key: str) -> None:
    assert "key this receiver verifies with is malformed" in refuse(headers_with(), keys=(key,))
    assert "key this receiver verifies with is malformed" in refuse(headers_with(), keys=(key, SECRET))


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_byte_of_the_body_can_be_changed(index: int, difference: int) -> None:
    tampered = bytearray(BODY)
    tampered[index] ^= difference

    refuse(headers_with(), bytes(tampered))
    refuse(headers_with(webhook_signature=V1A), bytes(tampered), keys=(PUBLIC,))


@given(st.binary(max_size=200), st.text(max_size=60), st.text(max_size=20), st.text(max_size=200))
def test_whatever_the_headers_hold_the_answer_is_a_refusal(
    body: bytes, message: str, at: str, signature: str
) -> None:
    headers = headers_with(webhook_id=message, webhook_timestamp=at, webhook_signature=signature)

    refuse(headers, body, keys=(SECRET, PUBLIC))


@given(st.text(max_size=200), st.binary(max_size=50))
def test_whatever_the_signature_header_holds_the_answer_is_a_refusal(signature: str, tail: bytes) -> None:
    refuse(headers_with(webhook_signature=signature), keys=(SECRET, PUBLIC))
    refuse(headers_with(webhook_signature=f"v1a,{base64.b64encode(tail).decode()}"), keys=(SECRET, PUBLIC))


@given(st.binary(max_size=2000), st.binary(min_size=24, max_size=64))
def test_what_is_signed_verifies_with_the_same_secret_alone(body: bytes, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()

    headers = sign_webhook([secret], MESSAGE, NOW, body)

    verify_webhook([secret], headers, body, NOW)
    refuse(headers, body, keys=(make_secret(),))


def test_a_made_secret_is_new_each_time_and_passes_its_own_check() -> None:
    made = {make_secret() for _ in range(10)}

    assert len(made) == 10
    for secret in made:
        check_secret(secret)
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


@pytest.mark.parametrize("length", [30, 31, 32])
def test_a_secret_may_have_lost_its_padding_and_its_prefix(length: int) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(length))).decode()
    signed = sign_webhook([secret], MESSAGE, NOW, BODY)

    for form in (
        secret.rstrip("="),
        secret.removeprefix("whsec_"),
        secret.removeprefix("whsec_").rstrip("="),
    ):
        check_secret(form)
        assert sign_webhook([form], MESSAGE, NOW, BODY) == signed


def test_a_secret_key_of_ed25519_passes_the_check() -> None:
    check_secret(PRIVATE)


@pytest.mark.parametrize(
    ("secret", "remedy"),
    [
        ("", "empty"),
        ("whsec_", "empty"),
        ("my secret passphrase", "base64"),
        ("whsec_" + "ü" * 32, "base64"),
        ("whsec_" + "_-" * 16, "base64"),
        (SECRET + "\n", "base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "24 to 64"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64"),
        (PUBLIC, "whsk_"),
        ("whsk_" + PUBLIC.removeprefix("whpk_"), "64 bytes"),
        (PRIVATE.replace("whsk_6", "whsk_7"), "halves"),
        ("whsk_%%", "base64"),
    ],
)
def test_an_unusable_secret_is_refused_with_its_remedy_and_never_repeated(secret: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy) as caught:
        check_secret(secret)

    assert len(secret) < 10 or secret[6:] not in str(caught.value)
