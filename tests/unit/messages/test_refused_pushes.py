"""Counting refused requests: a burst is told once in its time, and no number of integrations fills the memory."""

from __future__ import annotations

from shared.messages.refused_pushes import BURST, INTEGRATIONS, WINDOW_SECONDS, Refusals


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
