"""No secret comes out: canaries in every secret of every provider, every call driven, everything searched.

A new provider is covered by its sample in tests/contract/samples.
"""

from __future__ import annotations

import base64
import json
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from psycopg.sql import SQL, Identifier

from shared.provider import (
    Checker,
    Command,
    Commander,
    Event,
    EventDevice,
    Historian,
    Identity,
    Poller,
    Provider,
    Publisher,
    PushedRequest,
    Receiver,
    SettingsKeeper,
    StateKeeper,
    Subscriber,
    Syncer,
    list_types,
    load_provider,
    require,
)
from shared.runtime.deadline import Deadline
from shared.runtime.settings import load_settings
from shared.runtime.vault.ring import Vault
from tests.canaries.cage import Cage
from tests.canaries.configs import Planted, aim_at, find_secrets, list_invalid, plant_all
from tests.canaries.drive import Driver
from tests.end_to_end.rotation import READ, open_row
from tests.fakes.otlp_receiver import OtlpReceiver
from tests.ports import find_free_port
from tests.stack import Serve, Stack

UNLIMITED = {
    f"RATE_LIMIT_{calls}_{whose}": "0" for calls in ("WRITES", "TESTS") for whose in ("USER", "ORGANIZATION")
}
Text = tuple[str, str]


@dataclass(frozen=True)
class Aftermath:
    """What is left when everything was driven."""

    driver: Driver
    logs: list[Text]
    rows: list[Text]
    opened: list[str]
    traces: list[Text]

    def list_leaks(self, texts: list[Text]) -> list[str]:
        """Where a canary can be heard, with the beginning of the text."""
        return [f"{place}: {text[:2000]}" for place, text in texts if self.driver.cage.hears(text)]


@pytest.fixture(scope="module")
def aftermath() -> Iterator[Aftermath]:
    with tempfile.TemporaryDirectory(prefix="canary-") as folder:
        with OtlpReceiver() as collector:
            traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "500"}
            serve = Serve(Path(folder), find_free_port(), environment=UNLIMITED | traced)
            stack = serve.start()
            try:
                driver = Driver(stack, Cage())
                driver.drive()
                rows, opened = read_rows(stack), open_all(stack, serve)
            finally:
                serve.stop()
            traces = [("span", repr(span)) for span in collector.list_spans()]
            traces += [("metric", repr(metric)) for metric in collector.list_metrics().items()]
            traces.append(("export", collector.heard.decode("latin-1")))
        files = [*(serve.folder / "data" / "logs").glob("*.log"), serve.folder / "serve.log"]
        logs = [(file.name, file.read_text(errors="replace")) for file in files]
        yield Aftermath(driver, logs, rows, opened, traces)


def read_rows(stack: Stack) -> list[Text]:
    """Every row of every table that is not Postgres' own, as text."""
    with stack.connect() as connection:
        tables = connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'm') and n.nspname !~ '^(pg_|information_schema)'"
            " and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')"
        ).fetchall()
        assert {schema for schema, _ in tables} >= {"public", "private"}
        return [
            (f"{schema}.{table}", row[0])
            for schema, table in tables
            for row in connection.execute(SQL("select t::text from {} t").format(Identifier(schema, table)))
        ]


def open_all(stack: Stack, serve: Serve) -> list[str]:
    """What is sealed, opened."""
    keys = json.loads((serve.folder / "data" / "credentials.json").read_text())["integration_keys"]
    vault = Vault.from_text(keys)
    with stack.connect() as connection:
        rows = connection.execute(READ.encode()).fetchall()
    return [json.dumps(open_row(vault, row)) for (row,) in rows]


def test_no_answer_to_any_call_holds_a_secret(aftermath: Aftermath) -> None:
    assert aftermath.list_leaks(aftermath.driver.heard) == []


def test_no_log_holds_a_secret(aftermath: Aftermath) -> None:
    assert "api.log" in [name for name, _ in aftermath.logs]
    lines = [(name, line) for name, log in aftermath.logs for line in log.splitlines()]

    assert aftermath.list_leaks(lines) == []


def test_no_row_of_any_table_holds_a_secret_in_clear(aftermath: Aftermath) -> None:
    assert aftermath.list_leaks(aftermath.rows) == []


def test_no_trace_holds_a_secret(aftermath: Aftermath) -> None:
    named = {text.partition("'")[2].partition("'")[0] for place, text in aftermath.traces if place == "span"}

    assert aftermath.list_leaks(aftermath.traces) == []
    assert named >= {"POST /integrations", "POST /scheduler", "rpc/write_integration", "deliver", "POST"}


def test_the_canaries_were_there_and_went_out_so_there_was_something_to_hear(aftermath: Aftermath) -> None:
    driver = aftermath.driver

    assert len(aftermath.opened) > len(list_types())
    assert all(driver.cage.hears(secrets) for secrets in aftermath.opened)
    assert driver.sent_out > 100
    assert driver.statuses >= {200, 201, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422}
    tables = [place for place, _ in aftermath.rows]
    assert tables.count("public.webhook_attempts") > 50
    assert tables.count("public.webhook_requests") > 20
    assert tables.count("public.alerts") > 5
    assert tables.count("public.integration_activity") > 5


@pytest.mark.parametrize(
    "write",
    [
        str,
        json.dumps,
        lambda secret: json.dumps(json.dumps(secret)),
        lambda secret: quote(secret, safe=""),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(f"Authorization: Bearer {secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"..{secret}".encode()).decode(),
        lambda secret: secret.encode().hex(),
        lambda secret: secret[:18],
    ],
)
def test_a_canary_is_heard_however_it_is_written(write: Any) -> None:
    cage = Cage()
    canary = cage.make(spicy=True)

    heard = [
        cage.hears(f"before {text} after")
        for text in (write(canary), write("another-secret-of-the-same-kind"))
    ]

    assert heard == [True, False]


def test_what_is_public_is_not_heard_however_its_lines_are_broken() -> None:
    cage = Cage()
    cage.keep("BbXXcc1122n3344556677889900")

    public = cage.forget("BbXXcc1122n\n3344556677889900")

    assert not cage.hears(public)
    assert not cage.hears(repr(public))


@pytest.fixture
def _loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OUTBOUND_ALLOW", "127.0.0.0/8")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.usefixtures("_loopback")
def test_no_exception_holds_a_secret() -> None:
    cage, port = Cage(), find_free_port()
    planted = list(plant_all(cage))
    aimed = [
        aim_at(each, http_port=port, other_port=port, plain=plain)
        for each in planted
        for plain in (True, False)
    ]

    raised = [text for each in aimed for text in list_exceptions(cage, each)]

    assert len(raised) > 100
    assert [text for text in raised if cage.hears(text)] == []


def list_exceptions(cage: Cage, planted: Planted) -> Iterator[str]:
    """What a provider raises, with all that led to it: for wrong configs, and doing anything with nobody there."""
    identity = Identity("organization", "integration", planted.integration_type)
    for config in list_invalid(cage, planted):
        yield from _catch(lambda config=config: load_provider(config, identity))
    provider = load_provider(planted.config, identity)
    for action in _list_actions(
        provider, next(iter(find_secrets(planted.integration_type, planted.config).values()))
    ):
        yield from _catch(action)
    yield f"{provider!r} {provider}"


def _list_actions(provider: Provider, secret: str) -> Iterator[Any]:
    request = PushedRequest({"authorization": f"Bearer {secret}"}, secret.encode())
    event = Event(
        "id", "device.event", "event", "now", "o", provider.identity, EventDevice("d", "d", "d"), "t", {}
    )
    yield lambda: list(require(provider, Checker).check())
    yield lambda: list(require(provider, Poller).session({}, Deadline(2)))
    yield lambda: require(provider, Receiver).receive(request)
    # What it makes of a body holds that body.
    yield lambda: require(provider, Receiver).parse(request) and None
    yield lambda: require(provider, Subscriber).deliver(event) and None
    yield lambda: list(require(provider, Publisher).publish([event], Deadline(2)))
    yield lambda: require(provider, Commander).send(Command("c", "d", "n", {}, datetime.now(UTC)))
    yield lambda: _list_devices(require(provider, Syncer))
    yield lambda: require(provider, StateKeeper).state("d").read(("a",))
    yield lambda: require(provider, SettingsKeeper).settings().find(None, None)
    yield lambda: list(_read_history(require(provider, Historian)))


def _list_devices(provider: Syncer) -> object:
    with provider.devices(Deadline(2)) as directory:
        return directory.list_page(None)


def _read_history(provider: Historian) -> Iterator[object]:
    return provider.history(datetime.now(UTC), datetime.now(UTC), {}, Deadline(2))


def _catch(action: Any) -> Iterator[str]:
    try:
        yield str(action())
    except Exception as error:  # noqa: BLE001 - whatever it is
        yield "".join(traceback.format_exception(error)) + repr(error)
