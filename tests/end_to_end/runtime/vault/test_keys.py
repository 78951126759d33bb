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
from tests.stack import Serve, find_free_port

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
