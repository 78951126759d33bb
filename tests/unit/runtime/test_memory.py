"""Memory for what comes from outside: shared by organization, given back on every way out, bounded by the container."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.memory import MemoryBudget, list_limits, weigh_json


def test_one_alone_has_half_and_somebody_new_finds_room() -> None:
    budget = MemoryBudget(1_000)
    holdings = [budget.open("hoarder") for _ in range(10)]

    for each in holdings:
        if each.has_room(100):
            each.hold(100)

    assert sum(each.size for each in holdings) == 500
    assert budget.open("new").has_room(500)


@pytest.mark.parametrize("hoarders", [1, 3, 20])
def test_however_many_hoard_the_next_finds_some(hoarders: int) -> None:
    budget = MemoryBudget(10_000)

    for _ in range(100):
        for number in range(hoarders):
            holding = budget.open(str(number))
            if holding.has_room(10):
                holding.hold(10)

    assert budget.open("new").has_room(budget.free)
    assert budget.free >= 10_000 // (hoarders + 1) - 10 * hoarders


def test_who_waits_goes_on_as_soon_as_enough_is_given_back() -> None:
    budget = MemoryBudget(1_000)
    full, mine = budget.open("other"), budget.open("mine")
    full.hold(900)
    threading.Timer(0.1, full.close).start()
    begun = time.monotonic()

    mine.reserve(400, Deadline(10))

    assert 0.05 < time.monotonic() - begun < 5
    assert (mine.size, budget.free) == (400, 600)


def test_who_waits_in_vain_is_told_when_and_holds_nothing() -> None:
    budget = MemoryBudget(1_000)
    budget.open("other").hold(900)
    mine = budget.open("mine")

    with pytest.raises(Unavailable) as refusal:
        mine.reserve(400, Deadline(0.1))

    assert refusal.value.headers["Retry-After"] == "2"
    assert (mine.size, budget.free) == (0, 100)


def test_what_is_larger_than_a_share_counts_as_one_and_comes_through() -> None:
    budget = MemoryBudget(1_000)

    with budget.open("large") as holding:
        holding.reserve(5_000, Deadline(1))
        assert holding.size == budget.share

    assert budget.free == 1_000


def test_all_is_given_back_whatever_ended_it() -> None:
    budget = MemoryBudget(1_000)

    def use() -> None:
        with budget.open("one") as holding:
            holding.reserve(100, Deadline(1))
            holding.hold(300)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()

    assert budget.free == 1_000
    assert budget.has_room("one", 500)


def test_many_threads_never_take_more_than_there_is() -> None:
    budget, least = MemoryBudget(1_000), [1_000]

    def work(owner: str) -> None:
        for _ in range(200):
            with budget.open(owner) as holding:
                holding.reserve(90, Deadline(10))
                least.append(budget.free)

    threads = [threading.Thread(target=work, args=(str(number % 3),)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert budget.free == 1_000
    assert min(least) >= 0


@pytest.mark.parametrize(
    "text", [b"[" + b"{}," * 9_999 + b"{}]", b"[" + b"[]," * 9_999 + b"[]]", b'{"a":1}' * 9_999]
)
def test_what_is_small_as_text_and_large_once_parsed_weighs_that(text: bytes) -> None:
    assert weigh_json(text) > 20 * len(text)


def test_ordinary_json_weighs_a_few_times_its_text() -> None:
    row = b'{"time":"2026-01-01T00:00:00Z","device_id":"65f0c1d2e3","temperature":21.5,"humidity":40.25}'

    assert 3 < weigh_json(b"[" + b",".join([row] * 1_000) + b"]") / len(row) / 1_000 < 7


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_limits_of_a_container_are_found_in_both_forms(tmp_path: Path) -> None:
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    write(groups / "memory.max", "max\n")
    write(groups / "a" / "memory.max", "536870912\n")
    write(groups / "a" / "b" / "memory.max", "max\n")
    write(groups / "memory" / "docker" / "memory.limit_in_bytes", "268435456\n")
    write(own, "0::/a/b\n5:cpu,memory:/docker\n4:pids:/docker\n")

    assert sorted(list_limits(own, groups)) == [268435456, 536870912]


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert not list(list_limits(tmp_path / "own", tmp_path / "cgroup"))
