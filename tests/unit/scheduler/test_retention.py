"""A round of maintenance: what can't be done just now keeps nothing else from being done."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.settings import load_settings
from shared.scheduler import retention
from shared.scheduler.retention import FIRST, PRUNES, Line, run_maintenance
from tests.fakes.http_receiver import Answer, HttpReceiver, Received

LATE = "prune_messages"


@pytest.fixture(autouse=True)
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    """A process that has just begun, with the first of all, and has its time."""
    begun = Line(PRUNES, 0)
    monkeypatch.setattr(retention, "line", begun)
    monkeypatch.setattr(retention, "ROUND_SECONDS", 60.0)
    return begun


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    """What a database answers that has nothing to forget."""
    with HttpReceiver(lambda _: Answer(body=b"{}")) as started:
        monkeypatch.setenv("SUPABASE_URL", started.url.removesuffix("/hook"))
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "key")
        load_settings.cache_clear()
        yield started
    load_settings.cache_clear()


def refuse(code: str, status: int) -> Answer:
    return Answer(status, orjson.dumps({"code": code, "message": "It is late."}))


def list_tried(database: HttpReceiver) -> list[str]:
    """The prunes that a round tried, in the order of `PRUNES`."""
    asked = [request.path.rpartition("/")[2] for request in database.requests]
    return [name for name in asked if name in PRUNES]


@pytest.mark.parametrize("code", ["55P03", "57014", "40P01", "40001", "XX000"])
def test_what_is_late_is_put_off_and_the_rest_is_done(database: HttpReceiver, code: str) -> None:
    def answer(request: Received) -> Answer:
        return refuse(code, 500) if request.path.endswith(LATE) else Answer(body=b"{}")

    database.answer = answer

    counts = run_maintenance(as_service(), Deadline(0))

    assert list_tried(database) == list(PRUNES)
    assert "put_off" in counts


@pytest.mark.parametrize("code", ["57P03", "PGRST002", "25006", "503"])
def test_nothing_more_is_asked_of_a_database_that_is_away(database: HttpReceiver, code: str) -> None:
    database.answer = lambda _: refuse(code, 503)

    counts = run_maintenance(as_service(), Deadline(0))

    assert (len(database.requests), counts) == (1, {"put_off": "unavailable"})


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done takes long."""
    monkeypatch.setattr(retention, "ROUND_SECONDS", 0.0)


@pytest.mark.usefixtures("late")
def test_what_a_deadline_cuts_off_comes_first_the_next_time(database: HttpReceiver) -> None:
    for _ in range(len(PRUNES) + 2):
        run_maintenance(as_service(), Deadline(0))

    assert list_tried(database) == [*PRUNES, *PRUNES[:2]]


@pytest.mark.usefixtures("late")
def test_what_is_late_time_and_again_keeps_nothing_else_from_its_turn(database: HttpReceiver) -> None:
    def answer(request: Received) -> Answer:
        return Answer(body=b"{}") if request.path.endswith(FIRST) else refuse("57P03", 503)

    database.answer = answer

    for _ in PRUNES:
        run_maintenance(as_service(), Deadline(0))

    assert list_tried(database) == list(PRUNES)


def test_a_process_may_begin_with_any_of_it() -> None:
    begun = {Line(PRUNES).take_next() for _ in range(2_000)}

    assert begun == set(PRUNES)
