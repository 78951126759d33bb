"""Which filters are needed, where one receives what another does too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import drop_covered, find_overlap
from shared.provider.decoding.topics import MOST_LEVELS, check_filter, match_topic

LEVELS = st.sampled_from(("a", "b", "$x", ""))
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)
FILTERS = st.builds(
    lambda levels, end: "/".join([*levels, *end]),
    st.lists(st.sampled_from(("a", "b", "+", "$x", "")), min_size=1, max_size=3),
    st.sampled_from(([], ["#"])),
)


@pytest.mark.parametrize(
    ("filters", "needed"),
    [
        (("a/#", "a/+/t"), ("a/#",)),
        (("a/+/t", "a/#"), ("a/#",)),
        (("a/+", "a/b", "a"), ("a/+", "a")),
        (("a/#", "a"), ("a/#",)),
        (("a/+/#", "a/#"), ("a/#",)),
        (("#", "$SYS/#", "+"), ("#", "$SYS/#")),
        (("a/+/t", "+/b/t"), ("a/+/t", "+/b/t")),
        (("a", "a"), ("a",)),
    ],
)
def test_a_filter_within_another_is_not_needed(filters: tuple[str, ...], needed: tuple[str, ...]) -> None:
    assert drop_covered(filters) == needed


@given(st.lists(FILTERS, max_size=5), TOPICS)
def test_what_is_needed_receives_what_all_together_do(filters: list[str], topic: str) -> None:
    needed = drop_covered(filters)

    assert any(match_topic(name, topic) for name in needed) == any(
        match_topic(name, topic) for name in filters
    )
    assert drop_covered(needed) == needed


@pytest.mark.parametrize(
    ("filters", "overlap"),
    [
        (("a/+/t", "+/b/t"), ("a/+/t", "+/b/t")),
        (("a/+", "+/b/c", "a/#"), ("a/+", "a/#")),
        (("+/x", "$SYS/x"), None),
        (("a/+/t", "a/b"), None),
        (("a/#", "+"), ("a/#", "+")),
        (("a/b", "a/c", "b/#"), None),
    ],
)
def test_two_filters_overlap_where_a_topic_matches_both(
    filters: tuple[str, ...], overlap: tuple[str, str] | None
) -> None:
    assert find_overlap(filters) == overlap


@given(FILTERS, FILTERS, TOPICS)
def test_filters_that_do_not_overlap_share_no_topic(one: str, other: str, topic: str) -> None:
    assert find_overlap((one, other)) or not (match_topic(one, topic) and match_topic(other, topic))


def test_a_filter_has_no_more_levels_than_each_message_can_be_compared_with() -> None:
    longest = "/".join("+" * MOST_LEVELS)

    assert check_filter(longest) == longest
    with pytest.raises(ValueError, match="128 levels"):
        check_filter(f"{longest}/#")
