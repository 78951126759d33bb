"""The key ring kept in Supabase Vault instead of the environment."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.runtime.vault.keys import make_key
from tests.end_to_end.rotation import Rotation
from tests.platform import run_tick
from tests.ports import find_free_port
from tests.stack import Serve

WEBHOOK = {"url": "http://127.0.0.1:9/", "bearer_token": "a-token"}


@pytest.fixture
def rotation() -> Iterator[Rotation]:
    """A stack whose functions have no INTEGRATION_KEYS."""
    with tempfile.TemporaryDirectory(prefix="serve-") as folder:
        serve = Serve(Path(folder), find_free_port())
        rotation = Rotation(serve)
        rotation.restart("")
        yield rotation
        serve.stop()


def execute(rotation: Rotation, statement: str) -> None:
    with rotation.stack.connect() as connection:
        connection.execute(statement.encode())


def create(rotation: Rotation, integration_type: str, config: dict[str, Any]) -> int:
    body = {
        "organization_id": rotation.admin.user.organization_id,
        "integration_type": integration_type,
        "name": integration_type,
        "config": config,
    }
    return rotation.admin.call("POST", "/integrations", json=body).status_code


def test_without_any_key_what_needs_none_works_and_the_log_says_what_to_do(rotation: Rotation) -> None:
    broker = urlsplit(rotation.stack.mqtt_url)
    without_secrets = {"broker_url": f"mqtt://{broker.hostname}", "port": broker.port, "topics": "a"}

    statuses = [create(rotation, "webhook", WEBHOOK), create(rotation, "mqtt", without_secrets)]
    done = run_tick(rotation.stack, idle_seconds=0.3)

    log = (rotation.serve.folder / "data" / "logs" / "api.log").read_text()
    assert statuses == [500, 201]
    assert done["sessions"]["sessions"] >= 1
    assert "set INTEGRATION_KEYS, or keep the same text in Supabase Vault" in log


def test_keys_from_the_vault_seal_and_open_and_rotate(rotation: Rotation) -> None:
    execute(rotation, f"select vault.create_secret('{make_key('k1')}', 'integration_keys')")
    created = create(rotation, "webhook", WEBHOOK)
    advice = rotation.run("new-key", keys="").stdout
    last, first = re.findall(r"^ +(select vault.update_secret.*;)$", advice, re.MULTILINE)

    execute(rotation, last)
    rotation.restart("")
    known = rotation.run("status", keys="").stdout
    execute(rotation, first)
    rotation.restart("")
    done = run_tick(rotation.stack, idle_seconds=0.3)

    assert created == 201
    assert known.index("k1") < known.index("k2")
    assert (done["maintenance"]["resealed"], rotation.count()) == (1, {"k2": 1})
    assert done["sessions"] == {"parked": 1}


def let_pass(rotation: Rotation, time: str) -> None:
    """Everything that is known of the keys, as long ago as `time` says."""
    passed = f"added_at = added_at - interval '{time}', promoted_at = promoted_at - interval '{time}'"
    execute(rotation, f"update private.vault_keys set {passed}")


def test_with_a_number_of_days_maintenance_changes_the_key_by_itself(rotation: Rotation) -> None:
    rotation.serve.environment["KEY_ROTATION_DAYS"] = "30"
    execute(rotation, f"select vault.create_secret('{make_key('k1')}', 'integration_keys')")
    rotation.restart("")
    create(rotation, "webhook", WEBHOOK)

    done = []
    for time in ("0", "30 days", "1 hour", "0", "2 days"):
        let_pass(rotation, time)
        done.append(run_tick(rotation.stack, idle_seconds=0.3)["maintenance"])
        # A process reads the ring again every minute; a new one does at once.
        rotation.restart("")

    told = [{name: count for name, count in each.items() if name[:4] == "keys"} for each in done]
    assert told == [{}, {"keys_added": 1}, {"keys_promoted": 1}, {}, {"keys_retired": 1}]
    assert sum(each["resealed"] for each in done) == 1
    assert rotation.count() == {"k2": 1}
    (integration,) = rotation.admin.rows("device_integrations", select="id,api_key_encrypted")
    tested = rotation.admin.call("POST", f"/integrations/{integration['id']}/test")
    assert (integration["api_key_encrypted"], tested.status_code) == ("k2", 200)
