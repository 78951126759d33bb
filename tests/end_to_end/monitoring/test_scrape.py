"""GET /metrics: for the operator alone, with sums that never fall; dashboard and rules find in it all they ask for."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb

from scripts.local.stack import ROOT
from shared.monitoring import scrape
from shared.runtime.settings import load_settings
from shared.runtime.web.server import load_function
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform, enqueue, run_tick
from tests.stack import Stack

MONITORING = ROOT / "docs" / "monitoring"
NAME = re.compile(r"\bdevice_integrations_[a-z_]+")
GROWN = "update private.metric_tallies set minute = minute - interval '1 minute'"
pytestmark = pytest.mark.usefixtures("scraped")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def scraped(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process would serve, made anew each time it is asked for."""
    monkeypatch.setenv("SUPABASE_URL", stack.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", stack.service_role_key)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def read_samples(text: str) -> Samples:
    """Each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def list_counters(text: str) -> Samples:
    """Those that may never fall."""
    types = {family.name: family.type for family in text_string_to_metric_families(text)}
    rising = tuple(name for name, kind in types.items() if kind in {"counter", "histogram", "summary"})
    return {key: value for key, value in read_samples(text).items() if key[0].startswith(rising)}


def ask(stack: Stack, secret: str | None) -> httpx.Response:
    """One scrape."""
    headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}
    return httpx.get(f"{stack.url}/functions/v1/metrics", headers=headers, timeout=60)


def read_secret(stack: Stack) -> str:
    """METRICS_SECRET of the stack."""
    lines = shlex.split(stack.functions_env.read_text())
    return dict(line.split("=", 1) for line in lines)["METRICS_SECRET"]


def list_expressions() -> Iterator[str]:
    """All that the dashboard and the rules ask for."""
    dashboard = json.loads((MONITORING / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (
        variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    )
    rules = yaml.safe_load((MONITORING / "prometheus-rules.yml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])


def make_noise(admin: Platform, stack: Stack) -> dict[str, Any]:
    """A webhook that took some and refused some, a source that failed, an open alert, a device, a command."""
    broker = admin.create("mqtt", {"broker_url": stack.mqtt_url, "topics": f"{uuid.uuid4().hex}/#"})
    late = [
        {"event_id": uuid.uuid4().hex, "observed_at": (datetime.now(UTC) - timedelta(seconds=9)).isoformat()}
    ]
    with stack.connect() as connection:
        connection.execute("select ingest_messages(%s, %s)", (broker["id"], Jsonb(late)))
    answers = iter([Answer(200), Answer(503)] * 10)
    with HttpReceiver(lambda _: next(answers)) as receiver:
        webhook = admin.create("webhook", {"url": receiver.url, "retry_schedule": []})
        enqueue(admin, 4, device=uuid.uuid4().hex)
        run_tick(stack)
    with stack.connect() as connection:
        connection.execute(
            "update integration_schedules set state = state || %s where integration_id = %s",
            ('{"certificates": {"broker": 4102444800}}', broker["id"]),
        )
        connection.execute(
            "select private.raise_alert(%s, 'delivery.dead', 'error', 'x', '{}')", (webhook["id"],)
        )
        connection.execute(
            "insert into device_commands (device_id, name)"
            " select d.id, 'x' from devices d where d.integration_id is not null limit 1"
        )
    return webhook


@pytest.mark.parametrize("secret", [None, "wrong", "Basic"])
def test_without_the_secret_there_is_no_such_thing(stack: Stack, secret: str | None) -> None:
    reply = ask(stack, secret)

    assert reply.status_code == 404
    assert reply.json()["code"] == "not_found"


def test_no_other_key_of_the_project_opens_it(stack: Stack, admin: Platform) -> None:
    for key in (stack.service_role_key, stack.anon_key, stack.scheduler_secret, stack.token(admin.user)):
        assert ask(stack, key).status_code == 404


def test_where_no_secret_is_set_nobody_gets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METRICS_SECRET", raising=False)
    load_settings.cache_clear()
    application = load_function("metrics", str(ROOT / "functions" / "metrics.py"))

    assert isinstance(application, flask.Flask)
    for bearer in ("", " ", "None"):
        reply = application.test_client().get("/", headers={"Authorization": f"Bearer {bearer}"})
        assert reply.status_code == 404


def test_dashboard_and_rules_ask_for_what_there_is(admin: Platform, stack: Stack) -> None:
    make_noise(admin, stack)

    reply = ask(stack, stack.metrics_secret)

    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    there = {name for name, _ in read_samples(scrape.Scrape().read())}
    asked = {name for expression in list_expressions() for name in NAME.findall(expression)}
    assert len(asked) > 20
    assert asked <= there, asked - there


def test_no_label_is_finer_than_an_integration_or_says_whose_it_is(admin: Platform, stack: Stack) -> None:
    make_noise(admin, stack)
    text = scrape.Scrape().read()

    with stack.connect() as connection:
        ids = {
            str(row[0])
            for row in connection.execute("select id from organizations union all select id from devices")
        }
        integrations = {str(row[0]) for row in connection.execute("select id from device_integrations")}
    assert ids
    for _, labels in read_samples(text):
        values = dict(labels)
        assert not ids & set(values.values())
        assert values.get("integration_id") is None or values["integration_id"] in integrations
        assert set(values) <= {
            *("integration_id", "integration_type", "name", "status", "outcome", "kind", "level"),
            *("status_class", "certificate", "le"),
        }


def test_counters_never_fall_over_summing_up_and_pruning_whichever_instance_is_asked(
    admin: Platform, stack: Stack
) -> None:
    make_noise(admin, stack)
    before = list_counters(scrape.Scrape().read())

    with stack.connect() as connection:
        connection.execute(GROWN)
        connection.execute("update integration_metrics set minute = minute - interval '20 days'")
        connection.execute("update private.metric_tallies set minute = minute - interval '20 days'")
        connection.execute("select sum_metrics(), prune_history()")
        kept = connection.execute(
            "select count(*) from integration_metrics where minute < now() - interval '15 days'"
        )
        assert kept.fetchone() == (0,)
    after = list_counters(scrape.Scrape().read())

    assert before
    assert {key: value for key, value in before.items() if after.get(key, -1) < value} == {}


def test_deliveries_in_the_exposition_are_those_there_were(admin: Platform, stack: Stack) -> None:
    webhook = make_noise(admin, stack)

    samples = read_samples(scrape.Scrape().read())

    def value(name: str, **labels: str) -> float:
        wanted = {"integration_id": webhook["id"], "integration_type": "webhook", **labels}
        return samples[(f"device_integrations_{name}", frozenset(wanted.items()))]

    assert value("deliveries_enqueued_total") == 4
    assert value("deliveries_total", outcome="delivered") == 2
    assert value("deliveries_total", outcome="dead") == 2
    assert value("delivery_attempts_total", status_class="2xx") == 2
    assert value("delivery_attempts_total", status_class="5xx") == 2
    assert value("errors_total", kind="http_503") == 2
    assert value("response_seconds_count") == 4
    assert value("integration_up") == 1


@pytest.mark.parametrize("name", ['a"b\\', "}} 5\\n# HELP x", '\\"', "\u2028\x85Füß 😀", '{x="1"} 7'])
def test_a_name_is_a_label_whatever_it_is(admin: Platform, name: str) -> None:
    name = f"{name}{uuid.uuid4().hex}"
    made = admin.create("webhook", {"url": "https://example.com/"}, name=name)

    read = read_samples(scrape.Scrape().read())

    labels = {"integration_id": made["id"], "integration_type": "webhook", "name": name, "status": "active"}
    assert read["device_integrations_integration_info", frozenset(labels.items())] == 1


def test_the_command_of_the_docs_shows_them(stack: Stack) -> None:
    document = (ROOT / "docs" / "monitoring.md").read_text()
    (command,) = re.findall(r"^\$ (curl .+)$", document, re.MULTILINE)
    known = {"FUNCTIONS_URL": f"{stack.url}/functions/v1", "METRICS_SECRET": read_secret(stack)}

    said = subprocess.run(
        ["bash", "-c", f"{command} -sS --max-time 60"],
        env=os.environ | known, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    families = {family.name for family in text_string_to_metric_families(said)}
    assert {"device_integrations_messages", "device_integrations_integrations"} <= families


def test_all_integrations_are_counted_also_those_that_no_more_is_told_of(admin: Platform) -> None:
    admin.create("webhook", {"url": "https://example.com/"})

    read = read_samples(scrape.Scrape().read())

    told = [labels for name, labels in read if name == "device_integrations_integration_info"]
    counted = [number for (name, _), number in read.items() if name == "device_integrations_integrations"]
    assert sum(counted) == len(told) > 0


def test_a_scrape_within_ten_seconds_asks_the_database_nothing() -> None:
    served = scrape.Scrape()
    first = served.read()
    load_settings.cache_clear()

    assert served.read() is first


def test_files_stand_where_the_docs_say() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()

    for file in Path(MONITORING).iterdir():
        assert f"monitoring/{file.name}" in text
