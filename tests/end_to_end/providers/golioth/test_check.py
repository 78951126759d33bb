"""The connection test of a Golioth integration: where it stops, and in whose words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.fleet import Fleet
from tests.fakes.golioth import Fault
from tests.fakes.golioth.devices import add_device
from tests.ports import find_free_port


def run_test(fleet: Fleet, **config: Any) -> list[tuple[str, bool, str]]:
    if config:
        changed = fleet.admin.call(
            "PATCH", fleet.path, json={"config": {"api_key": fleet.fake.api_key} | config}
        )
        assert changed.status_code == 200, changed.text
    reply = fleet.admin.call("POST", f"{fleet.path}/test")
    assert reply.status_code == 200, reply.text
    return [(check["name"], check["ok"], check["detail"]) for check in reply.json()["checks"]]


def test_every_step_says_what_it_saw(fleet: Fleet) -> None:
    for number in range(3):
        add_device(fleet.fake, f"pump-{number}")

    assert run_test(fleet) == [
        ("address", True, "127.0.0.1 is 127.0.0.1."),
        ("https", True, "127.0.0.1 answers."),
        ("project", True, "The key is accepted for the project Sensors."),
        ("devices", True, "3 devices can be read."),
    ]
    assert len(fleet.fake.calls) == 2


@pytest.mark.parametrize(
    ("config", "step", "words"),
    [
        ({"api_key": "canary-wrong"}, "project", "refused the API key (403): permission denied"),
        ({"project_id": "another"}, "project", "permission denied"),
        ({"base_url": "https://no-such-host.invalid/v1"}, "address", "no-such-host.invalid"),
        ({"base_url": f"http://127.0.0.1:{find_free_port()}/v1"}, "https", "refused the connection"),
    ],
)
def test_the_first_step_that_fails_is_the_last_and_says_why(
    fleet: Fleet, config: dict[str, Any], step: str, words: str
) -> None:
    *passed, (name, ok, detail) = run_test(fleet, **config)

    assert (name, ok, words in detail) == (step, False, True), detail
    assert all(earlier[1] for earlier in passed)
    assert "canary" not in detail


def test_an_answer_that_fails_is_told_in_golioths_words_and_not_repeated(fleet: Fleet) -> None:
    fleet.fake.faults.append(Fault("/devices$", times=9, status=503))

    *_, last = run_test(fleet)

    assert last == ("devices", False, "Golioth answered 503: injected")
    assert len(fleet.fake.calls) == 2
