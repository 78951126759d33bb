"""Every example in docs/api.md works, and answers as the document says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.environment import read_environment
from scripts.local.seed import User
from scripts.local.stack import ROOT
from tests.end_to_end.examples import Example, find_differences, read_examples
from tests.fakes.golioth import FakeGolioth
from tests.fakes.golioth.firmware import make_artifact, make_cohort
from tests.fakes.golioth_site import add_device, connect_golioth
from tests.platform import Platform, run_tick
from tests.ports import find_free_port
from tests.stack import Serve, Stack

SHELL = read_examples("sh")
JAVASCRIPT = read_examples("js") + read_examples("js", "codecs.md")
WEBHOOK_SECRET = "canary-webhook-secret"
DOCUMENTED_BROKER = "mqtts://broker.example.com"
# Keeps the status of each reply, and the head and body of the last.
PRELUDE = """set -eu
curl() { command curl -sS --max-time 60 -D "$HEAD" -o "$BODY" -w '%{http_code}\\n' "$@" >> "$STATUSES"; }
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own: the examples run the scheduler, over a webhook that answers nobody."""
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        serve = Serve(Path(folder), find_free_port())
        try:
            started = serve.start()
            run_tick(started, idle_seconds=0.2)
            yield started
        finally:
            serve.stop()


@dataclass(frozen=True)
class Scene:
    """What the examples' variables stand for."""

    platform: Platform
    webhook_id: str
    delivery_id: str
    device_id: str
    command_id: str
    golioth_id: str
    golioth_device_id: str
    setting_id: str
    artifact_id: str
    cohort_id: str
    conflict_id: str

    @property
    def broker(self) -> str:
        """Where the examples' broker really is."""
        return self.platform.stack.mqtt_url

    @property
    def config(self) -> dict[str, Any]:
        """The config of the examples."""
        broker = {"broker_url": self.broker, "username": "platform", "password": "canary"}
        return broker | {"topics": "devices/+/telemetry"}

    def create(self) -> httpx.Response:
        """An integration like that of the examples, as reading it answers."""
        created = self.platform.create("mqtt", self.config)
        return self.platform.call("GET", f"/integrations/{created['id']}")


def set_scene(stack: Stack, admin: User, fake: FakeGolioth) -> Scene:
    """A webhook and a broker, a device with a message, a conflict and a command; a Golioth device, a setting."""
    platform = Platform(stack, admin)
    webhook = platform.create("webhook", {"url": "http://127.0.0.1:9/hook"})
    account = {"base_url": fake.url, "api_key": fake.api_key, "project_id": fake.project_id}
    golioth = platform.create("golioth", account | {"sync_direction": "off"})
    topics = {"topics": "a", "command_topic": "commands/{device}/{name}"}
    broker = platform.create("mqtt", {"broker_url": stack.mqtt_url} | topics)
    message = {"event_id": "1", "device": "sensor-1", "kind": "telemetry", "payload": {"temperature": 21.5}}
    service = {"apikey": stack.service_role_key, "Authorization": f"Bearer {stack.service_role_key}"}
    arguments = {"p_integration_id": broker["id"], "p_messages": [message]}
    httpx.post(
        f"{stack.url}/rest/v1/rpc/ingest_messages", json=arguments, headers=service, timeout=60
    ).raise_for_status()
    (device,) = platform.rows("devices", select="id", integration_id=f"eq.{broker['id']}")
    (delivery,) = platform.rows("webhook_deliveries", select="id", integration_id=f"eq.{webhook['id']}")
    command = platform.call("POST", "/commands", json={"device_id": device["id"], "name": "reboot"})
    own = {"webhook_secret": WEBHOOK_SECRET, "golioth_organization_id": fake.organization_id}
    golioth = connect_golioth(platform, fake, **own)
    setting = {"key": f"KEY_{golioth['id'][:8].upper()}", "data_type": "integer", "value": 1}
    created = platform.call("POST", f"/integrations/{golioth['id']}/settings", json=setting)
    return Scene(
        platform,
        webhook_id=webhook["id"],
        delivery_id=delivery["id"],
        device_id=device["id"],
        command_id=command.json()["command"]["id"],
        golioth_id=golioth["id"],
        golioth_device_id=add_device(platform, golioth, fake, desired={"led": {"on": False}})["id"],
        setting_id=created.json()["setting"]["id"],
        artifact_id=make_artifact(fake, "main", "1.2.9")["id"],
        cohort_id=make_cohort(fake, "fleet")["cohortId"],
        conflict_id=record_conflict(platform, golioth["id"], device["id"]),
    )


def record_conflict(platform: Platform, integration_id: str, device_id: str) -> str:
    """A name that was changed on both sides."""
    with platform.stack.connect() as connection:
        row = connection.execute(
            "insert into device_conflicts (organization_id, integration_id, device_id, fields, local, remote)"
            """ values (%s, %s, %s, '{name}', '{"name": "a"}', '{"name": "b"}') returning id""",
            (platform.user.organization_id, integration_id, device_id),
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture(scope="module")
def scene(stack: Stack) -> Iterator[Scene]:
    with FakeGolioth() as fake:
        yield set_scene(stack, stack.user("admin", 0), fake)


@pytest.mark.parametrize("example", SHELL, ids=lambda example: example.heading)
def test_the_curl_example_answers_as_documented(scene: Scene, tmp_path: Path, example: Example) -> None:
    files = {name: tmp_path / name for name in ("HEAD", "BODY", "STATUSES")}
    environment = describe_variables(scene) | {name: str(file) for name, file in files.items()}
    code = PRELUDE + example.code.replace(DOCUMENTED_BROKER, scene.broker)

    (tmp_path / "firmware.bin").write_bytes(b"image")
    place_env_script(tmp_path, scene.platform.stack)
    subprocess.run(["bash", "-c", code], cwd=tmp_path, env=os.environ | environment, check=True, timeout=60)

    body = files["BODY"].read_bytes() if files["BODY"].exists() else b""
    statuses = {int(status) for status in files["STATUSES"].read_text().split()}
    if example.reply is None:
        assert all(200 <= status < 300 for status in statuses), body
        return
    names = {line.partition(":")[0].lower() for line in files["HEAD"].read_text().splitlines()[1:]}
    assert statuses == {example.reply.status}, body
    assert {name.lower() for name in example.reply.headers} <= names
    assert list(find_differences(example.reply.body, json.loads(body or b"null"))) == []


def place_env_script(folder: Path, stack: Stack) -> None:
    """scripts/env as it answers on a machine where this stack is the one that runs."""
    (folder / "scripts").mkdir()
    script = folder / "scripts" / "env"
    script.write_text(f'#!/bin/sh\nexec "{ROOT}/scripts/env" --data "{stack.data}" "$@"\n')
    script.chmod(0o755)


def run_page(page: str, folder: Path, stack: Stack) -> str:
    """What the commands of a page print, in one shell, as they are copied."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    code = "\n".join(re.sub(r"^(\$ |    )", "", block, flags=re.MULTILINE) for block in blocks)
    filled_in = code.replace("<the key>", "a-key").replace("<the project's id>", "a-project")
    place_env_script(folder, stack)

    done = subprocess.run(
        ["bash", "-c", "set -e\n" + filled_in],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_golioth_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("golioth.md", tmp_path, scene.platform.stack)

    assert '"webhook_secret"' in told, told
    assert told.rstrip().endswith("]"), "the last command lists messages"


def test_the_commands_of_the_codecs_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("codecs.md", tmp_path, scene.platform.stack)

    assert told.count('"data":{"t":21.5}') >= 2, told
    assert '"name":"Half degrees"' in told, told
    assert '"kind":"redecode"' in told, told
    assert '"status":4' not in told, told


def test_the_commands_of_the_http_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("http.md", tmp_path, scene.platform.stack)

    assert told.count('"stored":1') == 2, told
    assert '"external_id":"oven-3"' in told, told
    assert '"status":4' not in told, told


def test_the_commands_of_the_lorawan_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("lorawan.md", tmp_path, scene.platform.stack)

    assert told.count('"stored":1') == 1, told
    assert '"status":4' not in told, told


def test_the_commands_of_the_particle_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("particle.md", tmp_path, scene.platform.stack)

    assert '202\n[{"topic":"data/temp","payload":{"t": 21.5}}]' in told, told


def test_the_commands_of_the_azure_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("azure-iot.md", tmp_path, scene.platform.stack)

    assert '"stored":1' in told, told


def test_the_commands_of_the_aws_page_work_when_copied(scene: Scene, tmp_path: Path) -> None:
    told = run_page("aws-iot.md", tmp_path, scene.platform.stack)

    assert told.count('"stored":2') == 1, told
    assert '"confirm_until":"2' in told, told
    assert '"status":4' not in told, told


def describe_variables(scene: Scene) -> dict[str, str]:
    """The environment of one curl example, with an integration of its own."""
    stack, admin = scene.platform.stack, scene.platform.user
    integration = scene.create()
    return {
        "SUPABASE_URL": stack.url,
        "FUNCTIONS_URL": stack.functions_url,
        "ANON_KEY": stack.anon_key,
        "TOKEN": stack.token(admin),
        "SCHEDULER_SECRET": stack.scheduler_secret,
        "ORGANIZATION_ID": str(admin.organization_id),
        "INTEGRATION_ID": integration.json()["integration"]["id"],
        "ETAG": integration.headers["ETag"],
        "WEBHOOK_ID": scene.webhook_id,
        "CONFLICT_ID": scene.conflict_id,
        "DELIVERY_ID": scene.delivery_id,
        "DEVICE_ID": scene.device_id,
        "COMMAND_ID": scene.command_id,
        "GOLIOTH_ID": scene.golioth_id,
        "GOLIOTH_DEVICE_ID": scene.golioth_device_id,
        "SETTING_ID": scene.setting_id,
        "ARTIFACT_ID": scene.artifact_id,
        "COHORT_ID": scene.cohort_id,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


@pytest.fixture(scope="module")
def answers(stack: Stack, node_modules: Path) -> list[dict[str, Any]]:
    """What each supabase-js example got, in the other organization and at a Golioth where names are still free."""
    with FakeGolioth() as fake:
        return run_examples(set_scene(stack, stack.user("admin", 1), fake), node_modules)


def run_examples(scene: Scene, node_modules: Path) -> list[dict[str, Any]]:
    stack, admin = scene.platform.stack, scene.platform.user
    script = shutil.copy(Path(__file__).with_name("examples.mjs"), node_modules.parent)
    told = {
        "url": stack.url,
        "anonKey": stack.anon_key,
        "config": scene.config,
        "variables": {
            "email": admin.email,
            "password": admin.password,
            "organizationId": admin.organization_id,
            "webhookId": scene.webhook_id,
            "conflictId": scene.conflict_id,
            "deliveryId": scene.delivery_id,
            "deviceId": scene.device_id,
            "commandId": scene.command_id,
            "goliothId": scene.golioth_id,
            "goliothDeviceId": scene.golioth_device_id,
            "settingId": scene.setting_id,
            "artifactId": scene.artifact_id,
            "cohortId": scene.cohort_id,
        },
        "examples": [example.code.replace(DOCUMENTED_BROKER, scene.broker) for example in JAVASCRIPT],
    }
    done = subprocess.run(
        ["node", script],
        input=json.dumps(told),
        env=os.environ | read_environment(stack.data),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("number", range(len(JAVASCRIPT)), ids=lambda number: JAVASCRIPT[number].heading)
def test_the_supabase_js_example_answers_as_documented(answers: list[dict[str, Any]], number: int) -> None:
    reply, answer = JAVASCRIPT[number].reply, answers[number]

    assert answer["refused"] or answer["error"] is None, JAVASCRIPT[number].code
    if reply is not None:
        assert answer["refused"] == (reply.status >= 400)
        assert list(find_differences(reply.body, answer["body"])) == []
