"""Loads the HTTP functions as functions-framework does in a deployment: one file, one function."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from wsgiref.types import WSGIApplication

from shared.runtime.web.server import load_function


def load_functions(folder: Path) -> dict[str, WSGIApplication]:
    """URL name → application, for every function file; whatever a file raises on import is raised here."""
    files = sorted(file for file in folder.glob("*.py") if file.stem != "__init__")
    return {url_name(file): cast("WSGIApplication", load_function(file.stem, str(file))) for file in files}


def url_name(file: Path) -> str:
    """A function's name in URLs: `functions/golioth_webhook.py` is served as `golioth-webhook`."""
    return file.stem.replace("_", "-")
