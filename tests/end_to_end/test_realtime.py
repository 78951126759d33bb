"""A frontend that subscribes to Realtime on the local stack learns why it gets nothing, once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.stack import Stack


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_subscription_gets_the_reason_and_stays_quiet(
    stack: Stack, node_modules: Path, version: str
) -> None:
    script = shutil.copy(Path(__file__).with_name("realtime.mjs"), node_modules.parent)
    argv = ["node", script, stack.url, stack.anon_key, version]

    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    (status, reason), closed = seen["statuses"]
    assert status == "CHANNEL_ERROR"
    assert "has no Realtime" in reason
    assert closed == ["CLOSED", None]
    assert seen["connections"] == 1


def test_what_is_no_websocket_is_told_the_same(stack: Stack) -> None:
    reply = httpx.post(
        f"{stack.url}/realtime/v1/api/broadcast", headers={"apikey": stack.anon_key}, timeout=60
    )

    assert reply.status_code == 501
    assert "has no Realtime" in reply.json()["message"]
