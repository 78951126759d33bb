"""Changing the key while everything runs: every credential opens at every moment, and nobody is disturbed."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.runtime.vault.keys import make_key
from tests.end_to_end.rotation import Rotation, seal_with
from tests.end_to_end.scheduler.test_tick import publish, readings
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import run_tick
from tests.ports import find_free_port
from tests.stack import Serve
from tests.waiting import wait_until

OLD, NEW = make_key("old"), make_key("new")
BOTH, ROTATED = f"{OLD},{NEW}", f"{NEW},{OLD}"


@pytest.fixture(scope="module")
def served() -> Iterator[Rotation]:
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        serve = Serve(Path(folder), find_free_port())
        yield Rotation(serve)
        serve.stop()


@pytest.fixture
def rotation(served: Rotation) -> Rotation:
    """An empty stack whose functions have both keys and still seal with the old one."""
    if served.serve.environment.get("INTEGRATION_KEYS") != BOTH:
        served.restart(BOTH)
    with served.stack.connect() as connection:
        connection.execute("delete from device_integrations")
        connection.execute("delete from integration_activity")
    return served


def connect_broker(rotation: Rotation, prefix: str) -> dict[str, Any]:
    """An MQTT integration with a password, already subscribed."""
    broker = urlsplit(rotation.stack.mqtt_url)
    config = {
        "broker_url": f"mqtt://{broker.hostname}",
        "port": broker.port,
        "topics": f"{prefix}/+/telemetry",
    }
    created = rotation.admin.create("mqtt", config | {"username": "u", "password": "kept-over-rotation"})
    run_tick(rotation.stack, idle_seconds=0.3)
    return created


def count_messages(rotation: Rotation) -> int:
    return len(rotation.admin.rows("device_messages", select="id", received_at="gt.2000-01-01"))


def test_keys_rotate_while_sessions_and_deliveries_run(rotation: Rotation) -> None:
    prefix = uuid.uuid4().hex
    before = count_messages(rotation)
    with HttpReceiver() as receiver:
        broker = connect_broker(rotation, prefix)
        rotation.admin.create("webhook", {"url": receiver.url, "bearer_token": "a-token"})
        results: list[dict[str, Any]] = []
        tick = threading.Thread(target=lambda: results.append(run_tick(rotation.stack, 60, 10)))
        tick.start()
        publish(rotation.stack, readings(prefix, 20))
        wait_until(lambda: count_messages(rotation) - before >= 20, "no messages are stored")
        done = rotation.run("reseal", "--yes", keys=ROTATED)
        publish(rotation.stack, readings(prefix, 20))
        tick.join()

    assert (done.returncode, rotation.count()) == (0, {"new": 2}), done.stderr
    assert results[0]["sessions"].get("lost_leases", 0) == 0
    assert count_messages(rotation) - before == len(receiver.requests) == 40
    assert {request.headers["authorization"] for request in receiver.requests} == {"Bearer a-token"}
    shown = rotation.admin.call("GET", f"/integrations/{broker['id']}").json()["integration"]
    assert shown["updated_at"] == broker["updated_at"]


def test_the_scheduler_reseals_by_itself_and_the_old_key_can_go(rotation: Rotation) -> None:
    prefix = uuid.uuid4().hex
    before = count_messages(rotation)
    broker = connect_broker(rotation, prefix)
    rotation.add_sealed(250, seal_with(OLD))

    rotation.restart(ROTATED)
    first, second = (run_tick(rotation.stack, idle_seconds=0.5)["maintenance"] for _ in range(2))
    rotation.restart(NEW)
    run_tick(rotation.stack, idle_seconds=0.3)
    publish(rotation.stack, readings(prefix, 5))
    run_tick(rotation.stack)

    # A tick ends when nothing else happens, be it in the middle of re-sealing; the next one goes on.
    assert first["resealed"] + second["resealed"] == 251
    assert len(rotation.open_all(NEW)) == 251
    assert count_messages(rotation) - before == 5
    shown = rotation.admin.call("GET", f"/integrations/{broker['id']}").json()["integration"]
    assert (shown["status"], shown["error_message"]) == ("active", None)


def test_credentials_that_open_with_no_key_are_not_tried_again_and_again_within_a_minute(
    rotation: Rotation,
) -> None:
    rotation.add_sealed(3_000, seal_with(make_key("lost")))

    done = run_tick(rotation.stack, 12, 5)

    assert 0 < done["maintenance"]["unopened"] <= 1_000


def test_resealing_killed_in_the_middle_loses_nothing_and_ends_right_when_run_again(
    rotation: Rotation,
) -> None:
    rotation.add_sealed(1500, seal_with(OLD))

    with rotation.start("reseal", "--yes", keys=ROTATED) as process:
        wait_until(lambda: rotation.count().get("new", 0) > 0, "nothing is re-sealed")
        process.kill()
        process.wait()
    middle, opened = rotation.count(), rotation.open_all(BOTH)
    done = rotation.run("reseal", "--yes", keys=ROTATED)

    assert set(middle) == {"new", "old"}, "killed too late to prove anything"
    passwords = sorted(f"password-{number}" for number in range(1500))
    assert sorted(secrets["password"] for secrets in opened) == passwords
    assert (done.returncode, rotation.count()) == (0, {"new": 1500})
    assert sorted(secrets["password"] for secrets in rotation.open_all(NEW)) == passwords


def test_two_at_once_and_a_tick_beside_them_end_right(rotation: Rotation) -> None:
    rotation.add_sealed(800, seal_with(OLD))

    with (
        rotation.start("reseal", "--yes", keys=ROTATED) as one,
        rotation.start("reseal", "--yes", keys=ROTATED) as two,
    ):
        run_tick(rotation.stack, idle_seconds=0.3)
        ends = [process.wait(120) for process in (one, two)]

    assert ends == [0, 0]
    assert len(rotation.open_all(NEW)) == 800


def test_an_admins_change_at_the_same_moment_wins(rotation: Rotation) -> None:
    created = connect_broker(rotation, uuid.uuid4().hex)
    rotation.add_sealed(1500, seal_with(OLD))
    passwords = [f"changed-{number}" for number in range(40)]

    with rotation.start("reseal", "--yes", keys=ROTATED) as process:
        replies = [
            rotation.admin.call(
                "PATCH", f"/integrations/{created['id']}", json={"config": {"password": password}}
            )
            for password in passwords
        ]
        process.wait(120)

    assert [reply.text for reply in replies if reply.status_code != 200] == []
    assert passwords[-1] in [secrets["password"] for secrets in rotation.open_all(BOTH)]


def spoil(sealed: str) -> str:
    """With another end, whatever it has."""
    return sealed[:-2] + ("BB" if sealed.endswith("AA") else "AA")


def test_what_does_not_open_is_told_and_skipped(rotation: Rotation) -> None:
    connect_broker(rotation, uuid.uuid4().hex)
    rotation.add_sealed(5, seal_with(OLD))
    rotation.add_sealed(1, seal_with(make_key("lost")))
    rotation.add_sealed(1, lambda context, _: spoil(seal_with(OLD)(context, 0)))
    rotation.add_sealed(1, lambda *_: "never sealed")

    done = rotation.run("reseal", "--yes", keys=ROTATED)
    again = rotation.run("reseal", "--yes", keys=ROTATED)

    assert (done.returncode, again.returncode) == (1, 1)
    assert "3 do not open; each shows status error and why." in done.stderr
    rows = rotation.admin.rows("device_integrations", select="error_message", error_message="not.is.null")
    reasons = sorted(row["error_message"] for row in rows)
    expected = ("entered for another address", "not in the form", "'lost', which is not")
    assert [part in reason for part, reason in zip(expected, reasons, strict=True)] == [True] * 3
    assert len(rotation.admin.rows("integration_activity", select="id", kind="eq.credentials.unopened")) == 3
    assert rotation.count()["new"] == 6


def test_an_active_integration_recovers_by_itself_once_the_key_is_back(rotation: Rotation) -> None:
    created = rotation.admin.create("webhook", {"url": "http://127.0.0.1:9/", "bearer_token": "t"})
    run_tick(rotation.stack, idle_seconds=0.3)
    rotation.run("reseal", "--yes", keys=NEW)
    shown = rotation.admin.call("GET", f"/integrations/{created['id']}").json()["integration"]

    run_tick(rotation.stack, idle_seconds=0.5)

    mended = rotation.admin.call("GET", f"/integrations/{created['id']}").json()["integration"]
    assert shown["status"] == "error"
    assert "'old', which is not in INTEGRATION_KEYS" in shown["error_message"]
    assert (mended["status"], mended["error_message"]) == ("active", None)


def test_a_person_is_told_before_a_key_that_no_function_used_seals_everything(rotation: Rotation) -> None:
    rotation.add_sealed(3, seal_with(OLD))

    done = rotation.run("reseal", keys=ROTATED)

    assert (done.returncode, rotation.count()) == (1, {"old": 3})
    assert "Nothing is sealed with new yet." in done.stderr


def test_status_names_every_key_and_never_shows_one(rotation: Rotation) -> None:
    rotation.add_sealed(3, seal_with(OLD))
    rotation.add_sealed(1, seal_with(make_key("lost")))

    shown = rotation.run("status", keys=ROTATED)

    lines = [line.split("│")[1:-1] for line in shown.stdout.splitlines() if line.startswith("│")]
    assert [tuple(cell.strip() for cell in line) for line in lines] == [
        ("new", "seals and opens", "0"), ("old", "opens", "3"), ("lost", "missing: can't be opened", "1"),
    ]  # fmt: skip
    assert "4 to re-seal" in shown.stdout
    assert not [key for key in (OLD, NEW) if key.partition(":")[2] in shown.stdout + shown.stderr]
