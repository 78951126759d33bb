"""What the documents say of providers is so: the example can be copied, the capabilities are all there."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from shared.provider import MIXINS, Provider

CAPABILITIES = [mixin.capability for mixin in MIXINS]
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def read_example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "add-a-provider.md").read_text("utf-8"), re.DOTALL)
    return str(code)


def test_the_example_passes_the_checks_it_would_be_put_to() -> None:
    ruff = [sys.executable, "-m", "ruff"]
    file = ["--stdin-filename", "shared/providers/example.py", "-"]

    for check in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [*ruff, *check, *file],
            input=read_example(),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_is_a_provider_that_checks_and_delivers(tmp_path: Path) -> None:
    file = tmp_path / "example.py"
    file.write_text(read_example(), "utf-8")
    spec = spec_from_file_location("example", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    assert issubclass(module.Example, Provider)
    assert set(module.Example.capabilities()) == {"check", "deliver"}


def test_both_documents_name_every_capability() -> None:
    for name in ("api.md", "add-a-provider.md"):
        text = (DOCS / name).read_text("utf-8")

        assert [each for each in CAPABILITIES if f"`{each}`" not in text] == []


def test_each_claim_of_the_threat_model_names_tests_that_are_there() -> None:
    named = re.findall(r"`((?:\w+/)*test_\w+\.py)`", (DOCS / "security.md").read_text("utf-8"))
    there = {str(file.relative_to(ROOT / "tests")) for file in (ROOT / "tests").rglob("test_*.py")}

    assert len(named) > 30
    assert [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in there)] == []


def test_the_catalogue_explains_every_capability() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)

    assert [each for each in CAPABILITIES if each not in explained] == []
