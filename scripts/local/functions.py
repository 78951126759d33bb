"""Loads the HTTP functions as functions-framework does in a deployment: one file, one function."""

from __future__ import annotations

from pathlib import Path
from wsgiref.types import WSGIApplication

from flask import Flask

from scripts.local.asgi_bridge import Bridge
from shared.runtime.web.server import load_function


def load_functions(folder: Path) -> dict[str, WSGIApplication]:
    """URL name → application, for every function file; whatever a file raises on import is raised here."""
    files = sorted(file for file in folder.glob("*.py") if file.stem != "__init__")
    return {url_name(file): _load_function(file) for file in files}


def _load_function(file: Path) -> WSGIApplication:
    function = load_function(file.stem, str(file))
    return function if isinstance(function, Flask) else Bridge(function)


def url_name(file: Path) -> str:
    """A function's name in URLs: `functions/golioth_webhook.py` is served as `golioth-webhook`."""
    return file.stem.replace("_", "-")
