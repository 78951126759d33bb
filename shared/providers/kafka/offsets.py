"""Offsets: where partitions begin and end, and which record was the first of a moment, as their leaders say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka.protocol.offset import OffsetRequest

from shared.providers.kafka.cluster import ANSWER_SECONDS, Cluster
from shared.providers.kafka.failures import explain_code
from shared.providers.kafka.fetching import COMMITTED, ELSEWHERE

EARLIEST, LATEST = -2, -1


def find_offsets(
    cluster: Cluster, places: Sequence[tuple[str, int, int]], seconds: float = ANSWER_SECONDS
) -> dict[tuple[str, int], tuple[int, int]]:
    """Of partitions, as (topic, number, leader), the offset of the first record that is kept and of the next to come.

    A partition whose leader has changed meanwhile is left out. Errors: OutsideError.
    """
    return cluster.run(_find_offsets(cluster, places), seconds)


def find_times(
    cluster: Cluster, places: Sequence[tuple[str, int, int]], moment: int, seconds: float = ANSWER_SECONDS
) -> dict[tuple[str, int], int]:
    """Of partitions the offset of the first record since `moment`, in milliseconds since 1970, where there is one.

    Errors: OutsideError.
    """
    found = cluster.run(_find_moment(cluster, places, moment), seconds)
    return {place: offset for place, offset in found.items() if offset >= 0}


async def _find_offsets(
    cluster: Cluster, places: Sequence[tuple[str, int, int]]
) -> dict[tuple[str, int], tuple[int, int]]:
    begins = await _find_moment(cluster, places, EARLIEST)
    ends = await _find_moment(cluster, places, LATEST)
    return {place: (begin, ends[place]) for place, begin in begins.items() if place in ends}


async def _find_moment(
    cluster: Cluster, places: Sequence[tuple[str, int, int]], when: int
) -> dict[tuple[str, int], int]:
    found: dict[tuple[str, int], int] = {}
    for node in {leader for _, _, leader in places if leader >= 0}:
        topics: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for topic, number, leader in places:
            if leader == node:
                topics[topic].append((number, when))
        request = OffsetRequest(-1, COMMITTED, list(topics.items()))
        for place, code, offset in await cluster.ask(node, request, _read_offsets):
            if code == 0:
                found[place] = offset
            elif code not in ELSEWHERE:
                raise explain_code(code)
    return found


def _read_offsets(answer: Any) -> list[tuple[tuple[str, int], int, int]]:
    """Topic and number, the number of what went wrong, and the offset."""
    return [
        ((topic, number), code, more[-1]) for topic, parts in answer.topics for number, code, *more in parts
    ]
