"""Running the programs of the clouds: shown before they run, with no secret on a command line or in what is shown."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class DeployError(Exception):
    """It can't be deployed; the message says what to do."""


class Commands:
    """Runs commands, or only shows them where `dry_run` is set."""

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run

    def run(self, argv: Sequence[str], *, secret_input: str | None = None) -> None:
        """Run it; `secret_input` goes to its standard input. DeployError where it fails."""
        if not self._show(argv) and self._finish(argv, secret_input).returncode:
            raise _failure(argv)

    def look_up(self, argv: Sequence[str]) -> str | None:
        """What it prints, which is not shown; None where there is no such thing, and in a dry run."""
        if self._show(argv):
            return None
        done = self._finish(argv, None, quiet=True)
        return None if done.returncode else str(done.stdout).strip()

    @contextmanager
    def private_file(self, content: Mapping[str, Any]) -> Iterator[str]:
        """A file that only you can read, with `content` as JSON, which is YAML too; gone after the block."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "content.yaml"
            file.touch(mode=0o600)
            file.write_text(json.dumps(content))
            yield str(file)

    def _show(self, argv: Sequence[str]) -> bool:
        print("$", shlex.join(argv), flush=True)
        return self._dry_run

    def _finish(
        self, argv: Sequence[str], given: str | None, *, quiet: bool = False
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            check=False,
            cwd=ROOT,
            env=os.environ,
            input=given,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )


def _failure(argv: Sequence[str]) -> DeployError:
    return DeployError(f"{shlex.join(argv[:4])} failed; what it says above has to be mended first.")
