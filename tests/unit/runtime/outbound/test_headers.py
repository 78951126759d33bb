"""No header leaves its line, and none that belongs to the client or to a cloud can be configured."""

from __future__ import annotations

import pytest

from shared.runtime.errors import BadRequest
from shared.runtime.outbound import find_forbidden_headers
from shared.runtime.outbound.headers import FORBIDDEN_HEADERS, FORBIDDEN_PREFIXES, check_headers

BREAKING_VALUES = ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "a\x7fb", "a\tb", "\ud800"]
BREAKING_NAMES = ["X Evil", "X-Evil:", "X\r\nEvil", "", "X-Évil", "X\x00"]


@pytest.mark.parametrize("name", sorted(FORBIDDEN_HEADERS | {prefix + "x" for prefix in FORBIDDEN_PREFIXES}))
def test_reserved_headers_are_found_in_any_letter_case(name: str) -> None:
    found = find_forbidden_headers({name.title(): "1"})

    assert len(found) == 1
    assert found[0].startswith(repr(name.title()))


def test_ordinary_headers_are_fine() -> None:
    assert (
        find_forbidden_headers({"Authorization": "Bearer a", "X-Api-Key": "ä" * 2048, "Accept": "*/*"}) == []
    )


def test_a_value_over_4096_bytes_is_found_without_being_shown() -> None:
    found = find_forbidden_headers({"X-Long": "ä" * 2049})

    assert found == ["'X-Long' has a value over 4096 bytes."]


def test_a_header_given_twice_in_different_letters_is_found() -> None:
    assert len(find_forbidden_headers({"X-A": "1", "x-a": "2", "X-B": "3"})) == 2


@pytest.mark.parametrize("value", BREAKING_VALUES)
def test_a_value_that_would_break_its_line_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadRequest, match="'X-Mine' has"):
        check_headers({"X-Mine": value})

    assert "Evil" not in find_forbidden_headers({"X-Mine": value})[0]


@pytest.mark.parametrize("name", BREAKING_NAMES)
def test_what_is_not_a_header_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="is not a header name"):
        check_headers({name: "1"})

    assert len(find_forbidden_headers({name: "1"})) == 1


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization"]
)
def test_no_caller_may_write_the_framing_of_a_request(name: str) -> None:
    with pytest.raises(BadRequest, match="is written by the client itself"):
        check_headers({name: "1"})


def test_the_senders_own_headers_may_be_sent_but_not_configured() -> None:
    headers = {"Content-Type": "application/json", "webhook-id": "msg_1", "User-Agent": "ours"}

    check_headers(headers)

    assert len(find_forbidden_headers(headers)) == 3
