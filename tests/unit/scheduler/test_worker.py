"""The worker where it is told to stop while it does not tick."""

from __future__ import annotations

import pytest

from shared.runtime.settings import load_settings
from shared.scheduler.worker import Worker
from tests.fakes.http_receiver import Answer, HttpReceiver, Received


def test_a_worker_that_is_told_to_stop_while_it_asks_for_access_begins_no_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker, asked = Worker(), []

    def answer(request: Received) -> Answer:
        asked.append(request.path)
        worker.stop()
        return Answer(body=b"[]")

    with HttpReceiver(answer) as project:
        monkeypatch.setenv("SUPABASE_URL", project.url.removesuffix("/hook"))
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "key")
        load_settings.cache_clear()
        worker.run()
    load_settings.cache_clear()

    assert len(asked) == 1
