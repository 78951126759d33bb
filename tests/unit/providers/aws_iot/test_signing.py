"""Signatures are those that AWS publishes, and those that its own library makes."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import OutboundRequest
from shared.providers.aws_iot.signing import SOCKET, Keys, Scope, sign_request, sign_socket, spell_query

KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOST = "https://x-ats.iot.eu-west-1.amazonaws.com"
PRINCIPAL = {"x-amzn-principal": "arn:aws:iot:eu-west-1:1:cert/ab"}
PUBLISHED = [
    (
        OutboundRequest("GET", f"{HOST}/things/dev1/shadow?name=cfg"),
        "iotdata",
        KEYS,
        "f585efc2e5d3249c4b3aa24b4506d04f9cac579c5969a5b0daf8c010a2d6f17d",
    ),
    (
        OutboundRequest("POST", f"{HOST}/topics/a/b%20c?qos=1", {}, b"x"),
        "iotdata",
        KEYS,
        "b164a1e01210400c0faad18fa4b1fd36b3304365911c09b7de8c8b35d54992f4",
    ),
    (
        OutboundRequest("POST", f"{HOST}/topics/devices%2Fdev1%2Fcmd?qos=1", {}, b'{"a":1}'),
        "iotdata",
        Keys(KEYS.access_key_id, KEYS.secret, "TOK=="),
        "84fc983f98bd20663587055efd6c5c58953fb145de81cc2f765599bbae749762",
    ),
    (
        OutboundRequest("GET", f"{HOST}/things?maxResults=250&nextToken=a%2Bb%2Fc%3D"),
        "iot",
        KEYS,
        "bae80d587678c0abc301a0cc5a7eabae28ab2297e6d08dec2f4679f533bddd13",
    ),
    (
        OutboundRequest("PUT", f"{HOST}/things/dev1/principals", PRINCIPAL),
        "iot",
        KEYS,
        "abb615acf4969fceb8a60014a1ce7370615e76b419a99b71ff7d1a214f3da99f",
    ),
]


def read_signature(request: OutboundRequest) -> str:
    return request.headers["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(("request_", "service", "keys", "signature"), PUBLISHED)
def test_a_request_has_the_signature_that_is_published(
    request_: OutboundRequest, service: str, keys: Keys, signature: str
) -> None:
    assert read_signature(sign_request(request_, keys, Scope(service, "eu-west-1"), NOW)) == signature


def test_s3_has_the_signature_of_its_own_documentation() -> None:
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    request = OutboundRequest("GET", "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J")

    signed = sign_request(request, keys, Scope("s3", "us-east-1"), datetime(2013, 5, 24, tzinfo=UTC))

    expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    assert read_signature(signed) == expected


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(
    path=st.lists(TEXT.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=3),
    query=st.dictionaries(TEXT, TEXT, max_size=3),
    body=st.binary(),
)
def test_whatever_is_asked_is_signed_as_by_the_library_of_aws(
    path: list[str], query: dict[str, str], body: bytes
) -> None:
    """Of any path that a client of an API builds, which never has a part that is `.` or `..`."""
    url = f"{HOST}/{'/'.join(quote(part, safe='') for part in path)}?{urlencode(query)}"
    keys = Keys(KEYS.access_key_id, KEYS.secret, "TOK==")

    signed = sign_request(OutboundRequest("POST", url, {}, body), keys, Scope("iotdata", "eu-west-1"), NOW)

    auth = SigV4Auth(Credentials(keys.access_key_id, keys.secret, keys.token), "iotdata", "eu-west-1")
    headers = {
        "host": urlsplit(url).netloc,
        "x-amz-date": "20260102T030405Z",
        "x-amz-security-token": keys.token,
    }
    theirs = AWSRequest("POST", signed.url, headers, body)
    theirs.context["timestamp"] = "20260102T030405Z"
    text = auth.string_to_sign(theirs, auth.canonical_request(theirs))
    assert read_signature(signed) == auth.signature(text, theirs)


def test_a_query_is_sent_as_it_is_signed() -> None:
    assert spell_query("b=1+2&a=%2Fx&c") == "a=%2Fx&b=1%202&c="
    assert spell_query("max-keys=1&max=2&max=1") == "max=1&max=2&max-keys=1"


def test_no_key_is_in_what_a_debugger_shows() -> None:
    assert "canary" not in repr(Keys("AKID", "canary-secret", "canary-token"))


def test_the_address_of_a_websocket_is_signed_as_aws_publishes() -> None:
    keys = Keys("TRUSTMETHISIDISFAKE0", "trustMeThisSecretKeyIsSoFakeAaBbCc00Dd11")
    moment = datetime(2017, 6, 28, 20, 48, 45, tzinfo=UTC)

    query = sign_socket(
        "data.iot.us-east-1.amazonaws.com", "/mqtt", keys, Scope("iotdata", "us-east-1"), moment
    )

    assert query.endswith("&X-Amz-Signature=b79a4d7e31ccbf96b22d93cce1b500b9ee611ec966159547e140ae32e4dcebed")


def test_the_token_of_a_session_is_no_part_of_what_an_address_signs() -> None:
    scope, token = Scope(SOCKET, "eu-west-1"), Keys(KEYS.access_key_id, KEYS.secret, "TOK/+==")

    plain, with_token = (
        sign_socket("x-ats.iot.eu-west-1.amazonaws.com", "/mqtt", keys, scope, NOW) for keys in (KEYS, token)
    )

    assert with_token == f"{plain}&X-Amz-Security-Token=TOK%2F%2B%3D%3D"
