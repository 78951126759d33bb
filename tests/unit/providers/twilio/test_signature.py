"""Twilio's signatures: the vectors it publishes, both algorithms, and what nobody signed."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from shared.provider import PushedRequest
from shared.providers.twilio.signature import SETTINGS, SIGNATURE, Keys, sign, verify_callback
from shared.runtime.errors import Unauthenticated

SECRET, URL, QUERY = "12345", "https://mycompany.com/myapp.php", "foo=1&bar=2"
FIELDS = {
    "CallSid": ["CA1234567890ABCDE"],
    "Digits": ["1234"],
    "From": ["+14158675309"],
    "To": ["+18005551212"],
    "Caller": ["+14158675309"],
}
DIGITS = {"Sid": ["CA123"], "SidAccount": ["AC123"], "Digits": ["5678", "1234", "1234"]}
BODY_HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
BODY = b'{"property": "value", "boolean": true}'


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        (f"{URL}?{QUERY}", FIELDS, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (f"https://mycompany.com:443/myapp.php?{QUERY}", FIELDS, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        (f"{URL}?{QUERY}", DIGITS, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
        (f"{URL}?{QUERY}&bodySHA256={BODY_HASH}", {}, "a9nBmqA0ju/hNViExpshrM61xv4="),
        (f"http://mycompany.com:80/myapp.php?{QUERY}", FIELDS, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        (f"http://mycompany.com:1234/myapp.php?{QUERY}", FIELDS, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
    ],
)
def test_the_published_vectors(url: str, fields: dict[str, list[str]], signature: str) -> None:
    assert sign(SECRET, url, fields) == signature


def test_the_vector_of_sha256() -> None:
    assert sign(SECRET, f"{URL}?{QUERY}", FIELDS, "sha256") == "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s="


def make_request(headers: dict[str, str], body: bytes | None = None, query: str = QUERY) -> PushedRequest:
    form = (
        {"content-type": "application/x-www-form-urlencoded"}
        if body is None
        else {"content-type": "application/json"}
    )
    return PushedRequest(
        form | headers, urlencode(FIELDS, doseq=True).encode() if body is None else body, "", query
    )


def verify(headers: dict[str, str], url: str = URL, **changed: object) -> None:
    keys = Keys("AC1", [SECRET, "other"], {"AK1": SECRET})
    verify_callback(keys, url, make_request(headers, **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("signature", ["RSOYDt4T1cUTdK1PDd93/VVr8B8=", "kvajT1Ptam85bY51eRf/AJRuM3w="])
def test_with_and_without_the_usual_port(signature: str) -> None:
    verify({SIGNATURE: signature})


def test_a_shared_key_signs_by_sha256_and_by_nothing_else() -> None:
    signature = {SIGNATURE: "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s="}

    verify(signature | {SETTINGS: "key=AK1,algorithm=HMAC_SHA256"})
    for settings in (
        "key=AK1,algorithm=HMAC_SHA1",
        "key=AK2,algorithm=HMAC_SHA256",
        "algorithm=HMAC_SHA256",
        "",
    ):
        with pytest.raises(Unauthenticated):
            verify(signature | {SETTINGS: settings})
    with pytest.raises(Unauthenticated):
        verify(signature)


def test_a_json_body_is_held_to_the_hash_in_its_address() -> None:
    query, signed = f"{QUERY}&bodySHA256={BODY_HASH}", {SIGNATURE: "a9nBmqA0ju/hNViExpshrM61xv4="}

    verify(signed, body=BODY, query=query)
    with pytest.raises(Unauthenticated):
        verify(signed, body=BODY + b" ", query=query)
    with pytest.raises(Unauthenticated):
        verify({SIGNATURE: sign(SECRET, f"{URL}?{QUERY}", {})}, body=BODY)


@pytest.mark.parametrize("signature", ["", "RSOYDt4T1cUTdK1PDd93/VVr8B9=", "\u00e9", "x" * 100_000])
def test_what_nobody_signed_is_refused(signature: str) -> None:
    with pytest.raises(Unauthenticated):
        verify({SIGNATURE: signature})


def test_another_account_is_refused() -> None:
    fields = {"AccountSid": ["AC2"]}
    body = urlencode(fields, doseq=True).encode()
    headers = {"content-type": "application/x-www-form-urlencoded", SIGNATURE: sign(SECRET, URL, fields)}

    with pytest.raises(Unauthenticated, match="another account"):
        verify_callback(Keys("AC1", [SECRET]), URL, PushedRequest(headers, body))
