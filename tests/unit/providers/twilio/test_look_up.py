"""What is looked up after a lost answer: found where it is ours, and whatever else is listed is passed over."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import Notice
from shared.providers.twilio.publish import _find_made

AT = "2026-01-01T12:00:00+00:00"
OURS = {
    "sid": "SM1",
    "status": "queued",
    "direction": "outbound-api",
    "body": "It fails.",
    "date_created": "Thu, 01 Jan 2026 12:00:30 +0000",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(OURS, JSON))


def find(*listed: Any, known: frozenset[str] = frozenset()) -> str | None:
    notice = Notice("Ada", AT, is_repeat=True, known=known)
    return _find_made({"messages": list(listed)}, "messages", "It fails.", notice)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"date_created": "Thu, 01 Jan 2026 12:00:30 -0000"},
        {"date_created": "Thu, 01 Jan 2026 11:59:30 +0000"},
        {"body": "Sent from your trial account - it FAILS."},
        {"status": "undelivered"},
    ],
)
def test_what_is_ours_is_found(changed: dict[str, Any]) -> None:
    assert find(OURS | changed) == "SM1"


@pytest.mark.parametrize(
    "changed",
    [
        {"date_created": "Thu, 01 Jan 2026 11:58:30 +0000"},
        {"date_created": None},
        {"date_created": "Thu, 99 Jan 99999 12:00:30 +9999999"},
        {"status": "failed"},
        {"status": "canceled"},
        {"direction": "inbound"},
        {"body": "Something else."},
        {"sid": 5},
        {"sid": None},
    ],
)
def test_what_is_another_or_reached_nobody_is_not(changed: dict[str, Any]) -> None:
    assert find(OURS | changed) is None


def test_what_is_known_as_another_is_not() -> None:
    assert find(OURS, known=frozenset({"SM1"})) is None
    assert find(OURS, OURS | {"sid": "SM2"}, known=frozenset({"SM1"})) == "SM2"


@pytest.mark.parametrize(
    ("text", "body", "is_ours"),
    [
        ("펌프 3 정지", "Trial: 펌프 3 정지", True),
        ("펌프 3 정지", "밸브 3 열림", False),
        ("泵停了", "阀门开了", False),
        ("🔥🔥", "Hello", False),
        ("🔥🔥", "Trial: 🔥🔥", True),
        ("“Pump” — off…", '"Pump" - off...', True),
        ("Cafe\u0301", "Café", True),
        ("", "", True),
    ],
)
def test_words_of_any_script_are_compared(text: str, body: str, is_ours: bool) -> None:  # noqa: FBT001 - a case
    notice = Notice("Ada", AT, is_repeat=True)
    found = _find_made({"messages": [OURS | {"body": body}]}, "messages", text, notice)

    assert (found == "SM1") is is_ours


@given(st.lists(FIELDS | JSON, max_size=4))
def test_whatever_is_listed_ours_is_found_behind_it(listed: list[Any]) -> None:
    assert find(*listed, OURS) is not None


@given(JSON)
def test_a_page_that_is_none_lists_nothing(page: Any) -> None:
    notice = Notice("Ada", AT, is_repeat=True)
    assert _find_made({"messages": page}, "messages", "It fails.", notice) is None
