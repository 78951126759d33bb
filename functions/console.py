"""`/console`: the page that hosts the elements, and the elements for other pages; knows no user. See docs/deploy.md."""

from __future__ import annotations

import os

import flask
import functions_framework

from shared.runtime.web.console import Console

site = Console(os.environ)


@functions_framework.http
def console(request: flask.Request) -> flask.Response:
    """Entry point."""
    return site.answer(request)
