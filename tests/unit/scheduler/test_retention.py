"""A round of maintenance: what can't be done just now keeps nothing else from being done."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.settings import load_settings
from shared.scheduler.retention import PRUNES, run_maintenance
from tests.fakes.http_receiver import Answer, HttpReceiver, Received

LATE = "prune_messages"


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

    assert (list_tried(database), counts) == ([PRUNES[0]], {"put_off": "unavailable"})
