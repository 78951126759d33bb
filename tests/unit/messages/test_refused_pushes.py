"""Counting refused requests: a burst is told once in its time, and no number of integrations fills the memory."""

from __future__ import annotations

from shared.messages.refused_pushes import (
    ADDRESSES,
    BURST,
    INTEGRATIONS,
    MINUTE,
    TRIES_AT_INTEGRATION,
    TRIES_OF_ADDRESS,
    TRIES_OF_BOTH,
    WINDOW_SECONDS,
    Refusals,
    Tries,
)


def refuse(refusals: Refusals, times: int, integration_id: str = "one", now: float = 0) -> None:
    for _ in range(times):
        refusals.add(integration_id, now)


def test_fewer_than_a_burst_are_no_burst() -> None:
    refusals = Refusals()

    refuse(refusals, BURST - 1)
    refuse(refusals, BURST - 1, "another")

    assert refusals.list_bursts() == []


def test_a_burst_is_told_until_that_has_come_through_and_then_not_again_in_its_time() -> None:
    refusals = Refusals()
    refuse(refusals, BURST)
    told = [refusals.list_bursts(), refusals.list_bursts()]

    refusals.forget_bursts(["one"])
    refuse(refusals, 3 * BURST, now=WINDOW_SECONDS - 1)

    assert (told, refusals.list_bursts()) == ([["one"], ["one"]], [])


def test_the_next_hour_is_counted_anew() -> None:
    refusals = Refusals()
    refuse(refusals, BURST)
    refusals.forget_bursts(["one"])

    refuse(refusals, BURST - 1, now=WINDOW_SECONDS)
    before = refusals.list_bursts()
    refuse(refusals, 1, now=WINDOW_SECONDS)

    assert (before, refusals.list_bursts()) == ([], ["one"])


def test_of_more_integrations_than_are_counted_the_quietest_is_forgotten() -> None:
    refusals = Refusals()
    refuse(refusals, BURST - 1, "quiet")
    refuse(refusals, BURST - 1, "busy")
    for number in range(INTEGRATIONS - 1):
        refuse(refusals, 1, str(number))
        refuse(refusals, int(number == 0), "busy")

    refuse(refusals, 1, "quiet")

    assert refusals.list_bursts() == ["busy"]


def test_who_is_refused_too_often_waits_for_the_rest_of_the_minute() -> None:
    tries = Tries()

    few = [tries.add("one", "here", 10) for _ in range(TRIES_OF_BOTH)]

    assert set(few) == {0}
    assert tries.add("one", "here", 30) == 41
    assert (tries.add("another", "here", 30), tries.add("one", "there", 30)) == (0, 0)
    assert tries.add("one", "here", 10 + MINUTE) == 0


def test_an_address_that_tries_everywhere_and_an_integration_that_all_try_are_told_too() -> None:
    tries = Tries()

    for number in range(TRIES_OF_ADDRESS):
        tries.add(str(number), "here", 0)
    for number in range(TRIES_AT_INTEGRATION):
        tries.add("one", str(number), 0)

    assert tries.add("next", "here", 1) == 60
    assert tries.add("one", "next", 1) == 60


def test_an_address_that_tries_too_often_takes_one_turn_in_the_line() -> None:
    tries = Tries()
    before = tries.name_owner("one", "here", 0)

    for number in range(TRIES_OF_ADDRESS + 1):
        tries.add(str(number), "here", 0)

    assert (before, tries.name_owner("one", "there", 1)) == ("one", "one")
    assert tries.name_owner("one", "here", 1) == tries.name_owner("two", "here", 1) == "address here"
    assert tries.name_owner("one", "here", MINUTE) == "one"


def test_no_number_of_addresses_fills_the_memory() -> None:
    tries = Tries()

    for number in range(2 * ADDRESSES):
        tries.add("one", str(number), 0)

    assert len(tries._counts) == ADDRESSES
