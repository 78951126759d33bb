"""Whether another try may help, when it is due, and what the other side asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.backoff import LONGEST_ASKED, Backoff, is_final_status, parse_retry_after, vary_pause
from shared.runtime.errors import (
    BadRequest,
    CommandRefused,
    Conflict,
    CredentialsRefused,
    Gone,
    InvalidConfig,
    NotFound,
    NotSupported,
    Problem,
    ProviderRefused,
    RateLimited,
    TimedOut,
    Unavailable,
    VaultError,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

FINAL = {
    *(400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422),
    *(424, 426, 428, 431, 451, 501, 505),
}


@pytest.mark.parametrize("status", [*(status.value for status in HTTPStatus), 0, 419, 499, 520, 599])
def test_every_status_is_final_or_passing_by_one_table(status: int) -> None:
    expected = status in FINAL | {419, 499}

    assert is_final_status(status) == expected
    assert ProviderRefused(answered=status).is_final == expected


@pytest.mark.parametrize(
    ("problem", "is_final"),
    [
        *((kind(), True) for kind in (BadRequest, NotFound, Conflict, Gone, NotSupported, CommandRefused)),
        *((kind(), False) for kind in (Problem, InvalidConfig, VaultError, RateLimited, Unavailable)),
        *((kind(), False) for kind in (TimedOut, CredentialsRefused, ProviderRefused)),
    ],
)
def test_our_own_problems_are_judged_by_the_same_table(problem: Problem, *, is_final: bool) -> None:
    assert problem.is_final == is_final


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (8, 600), (10**6, 600), (-1, 5)]
)
def test_pauses_double_up_to_the_longest_with_jitter(failures: int, seconds: float) -> None:
    pauses = [Backoff(5, 600).pause(failures) for _ in range(200)]

    assert seconds * 0.8 <= min(pauses) < max(pauses) <= seconds * 1.2


def test_jitter_that_may_not_shorten_only_lengthens() -> None:
    assert all(60 <= vary_pause(60, less=0) <= 72 for _ in range(200))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("120.5", 120.5),
        (" 7 ", 7),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("9" * 20, LONGEST_ASKED),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_ASKED),
        *(
            (text, None)
            for text in ("soon", "invalid", "", "-5", "nan", "inf", "1e3", "1_000", "²", "٣", "9" * 5000)
        ),
        *((text, None) for text in ("Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 2026 99:00:00 GMT")),
        ("Thu, 01 Jan 2026 00:01:00 +99999999999999", None),
        ("Thu, 01 Jan 2026 00:01:00", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert parse_retry_after({"retry-after": text}, NOW) == seconds


@given(
    st.one_of(
        st.text(),
        st.from_regex(
            r"[A-Z][a-z]{2}, \d{1,12} [A-Z][a-z]{2} \d{1,12} \d{1,9}:\d{1,9}:\d{1,9} [A-Z+-][\dMT]*"
        ),
        st.lists(st.sampled_from(["Mon", ",", " ", "Jan", "-", "+", ":", "9", "2026", "GMT", "\x00"])).map(
            "".join
        ),
    )
)
@example("Mon, 01 Jan 99999999999 00:00:00 GMT")
def test_whatever_retry_after_says_nothing_raises(text: str) -> None:
    asked = parse_retry_after({"Retry-After": text}, NOW)

    assert asked is None or 0 <= asked <= LONGEST_ASKED
