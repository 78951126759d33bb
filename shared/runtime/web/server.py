"""Serves one function: `python -m shared.runtime.web.server`, with FUNCTION_SOURCE and FUNCTION_TARGET saying which.

Wrong settings end it before it listens, so that a deployment with them never takes over. Beside the function it answers
`/health` (this process serves) and `/ready` (it reaches the project with its keys), for probes and people. SIGTERM lets
what is under way end within the 10 s that Cloud Run gives. THREADS and WORKERS are functions-framework's.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson

from shared.runtime.database.access import check_access, name_key
from shared.runtime.errors import Problem
from shared.runtime.log import bind_trace, get_log
from shared.runtime.start import check_start
from shared.runtime.stopping import stop_all

if TYPE_CHECKING:
    import flask

GRACE_SECONDS = 9
"""Of the 10 after which Cloud Run kills; ticks are told to end sooner (`stopping`)."""

KEPT_SECONDS = 620
"""Longer than load balancers keep an idle connection (600 s at Google's): it is to be they who end it."""

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"

READY_SECONDS = 5.0
"""How long an answer of `/ready` holds: probes of many instances must not become a load of the database."""


def main() -> int:
    """Serve until SIGTERM; 1 with the reason in the log where the settings are wrong."""
    from functions_framework._http import create_server

    source, target = os.environ.get("FUNCTION_SOURCE", ""), os.environ.get("FUNCTION_TARGET", "")
    name = target.replace("_", "-")
    try:
        check_start(name)
    except RuntimeError as error:
        get_log().critical(str(error), function=name)
        return 1
    application = load_function(target, source)
    application.wsgi_app = Front(application.wsgi_app, name)  # type: ignore[method-assign] # as Flask itself says to
    options = {
        "worker_class": "shared.runtime.web.kept_connections.KeptConnections",
        "graceful_timeout": GRACE_SECONDS,
        "keepalive": KEPT_SECONDS,
        "post_worker_init": _listen_for_stop,
    }
    server = create_server(application, debug=False, **options)  # type: ignore[no-untyped-call]
    server.run("0.0.0.0", int(os.environ.get("PORT") or 8080))  # noqa: S104 - a container's only door
    return 0


def load_function(target: str, source: str) -> flask.Flask:
    """The function as functions-framework runs it, but for the paths which that would answer itself.

    Ours are called without Flask's way to a view, of which they know nothing: it took a sixth of a short request.
    """
    from functions_framework import create_app

    application: Any = create_app(target=target, source=source)  # type: ignore[no-untyped-call] # it has no types
    if Path(source).resolve().parent == FUNCTIONS:
        function = getattr(sys.modules[Path(source).stem], target)
        application.wsgi_app = partial(_call_function, function)
    else:
        # Before it looks for a route: it would redirect double slashes, and has no robots.txt and no favicon.ico.
        application.before_request(partial(application.view_functions["run"], path=""))
    return cast("flask.Flask", application)


def _call_function(
    function: Callable[[flask.Request], flask.Response],
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    from flask import Request

    request = Request(environ)
    response = function(request)
    if not response.is_streamed:
        # As functions-framework does: who still sends would not read an answer.
        request.get_data()
    return response(environ, start_response)


class Front:
    """What stands before a function: its probes, and the trace its log lines belong to."""

    def __init__(self, function: WSGIApplication, name: str) -> None:
        self._function = function
        self._key = name_key(name)
        self._ready: tuple[float, str] = (float("-inf"), "")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        bind_trace(environ.get("HTTP_TRACEPARENT", ""))
        path = environ.get("PATH_INFO", "")
        if path not in {"/health", "/ready"} or environ["REQUEST_METHOD"] == "OPTIONS":
            return self._function(environ, start_response)
        objection = self._find_objection() if path == "/ready" else ""
        status = HTTPStatus.SERVICE_UNAVAILABLE if objection else HTTPStatus.OK
        body = orjson.dumps({"ok": not objection} | ({"detail": objection} if objection else {}))
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", [*headers, ("Cache-Control", "no-store")])
        return [body]

    def _find_objection(self) -> str:
        asked, objection = self._ready
        if time.monotonic() - asked > READY_SECONDS:
            objection = _ask_project(self._key)
            self._ready = (time.monotonic(), objection)
        return objection


def _ask_project(key: str) -> str:
    try:
        check_access(key)
    except Problem as problem:
        return problem.detail
    return ""


def _listen_for_stop(_: Any) -> None:
    """In each of gunicorn's processes, once it has set its own signal handlers."""
    end = cast("Any", signal.getsignal(signal.SIGTERM))

    def stop(number: int, frame: FrameType | None) -> None:
        stop_all()
        end(number, frame)

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    sys.exit(main())
