"""The kinds of jobs: every module in this folder is one, found by its file name.

A kind's module has `REQUEST`, the pydantic model of what may be asked for (unknown fields refused), `CAPABILITY`, the
mixin of the provider it needs, and `run(job)`. `PLAN`, where it has one, names the SQL function that begins jobs
of this kind when they are due.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from shared.jobs.job import Job, JobOutcome
from shared.provider import Capability
from shared.runtime.errors import BadRequest, FieldError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job."""

    name: str
    request: type[BaseModel]
    capability: type[Capability]
    run: Callable[[Job[Any]], JobOutcome | None]
    plan: str | None = None


@cache
def list_kinds() -> tuple[str, ...]:
    """Every kind there is, sorted; nothing is imported for it."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def find_kind(name: str) -> Kind:
    """The kind of this name; BadRequest lists the known ones otherwise."""
    if name not in list_kinds():
        known = ", ".join(list_kinds())
        raise BadRequest(errors=[FieldError("kind", f"Unknown kind; one of: {known}.")])
    module = import_module(f"{__name__}.{name}")
    return Kind(name, module.REQUEST, module.CAPABILITY, module.run, getattr(module, "PLAN", None))
