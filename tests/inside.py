"""Running what a function runs, in the test's own process: with its environment, over the stack's database."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.runtime.database.project import close_projects
from shared.runtime.settings import load_settings
from shared.runtime.vault.ring import forget_vault
from shared.runtime.web.auth import load_keys
from tests.stack import Stack


@contextmanager
def environment_of(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the functions of `stack` read from their environment, for as long as the block runs."""
    for line in shlex.split(stack.functions_env.read_text()):
        monkeypatch.setenv(*line.split("=", 1))
    _forget()
    yield
    if load_keys.cache_info().currsize:
        load_keys()._project.close()
    _forget()


def _forget() -> None:
    load_settings.cache_clear()
    forget_vault()
    load_keys.cache_clear()
    close_projects()
