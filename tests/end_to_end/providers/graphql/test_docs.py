"""What docs/graphql.md says can be copied: its commands, and each of its configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.local.stack import ROOT
from shared.provider import Identity, load_provider
from tests.documents import read_blocks
from tests.end_to_end.test_docs import run_page
from tests.fakes.graphql import FakeGraphql
from tests.fakes.graphql.driver import make_readings
from tests.platform import Platform, run_tick

PAGE = ROOT / "docs" / "graphql.md"
CONFIGS = [json.loads(block) for block in read_blocks(PAGE, "json")]


def test_the_commands_of_the_page_bring_a_first_message(
    admin: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeGraphql() as api:
        api.readings = make_readings(2)
        monkeypatch.setenv("GRAPHQL_URL", api.url)
        monkeypatch.setenv("GRAPHQL_TOKEN", "canary-of-the-page")

        told = run_page("graphql.md", tmp_path, admin.stack)
        run_tick(admin.stack)

    assert '"ok":true' in told
    assert [
        name for name in ("address", "api", "query", "subscription") if f'"name":"{name}"' not in told
    ] == []
    rows = admin.rows("device_messages", select="payload")
    assert sorted(row["payload"]["id"] for row in rows) == [0, 1]
    assert {headers["Authorization"] for headers in api.headers} == {"Bearer canary-of-the-page"}


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_each_config_of_the_page_is_valid(config: dict[str, Any]) -> None:
    load_provider(config, Identity("", "", "graphql"))


def test_the_page_names_each_protocol() -> None:
    schema = load_provider(CONFIGS[0], Identity("", "", "graphql")).model_json_schema()

    assert [
        name for name in schema["properties"]["protocol"]["enum"] if f"| `{name}` |" not in PAGE.read_text()
    ] == []
