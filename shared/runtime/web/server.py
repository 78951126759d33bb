"""Serves one function: `python -m shared.runtime.web.server`, with FUNCTION_SOURCE and FUNCTION_TARGET saying which.

Wrong settings end it before it listens, so that a deployment with them never takes over. Beside the function it answers
`/health` (this process serves) and `/ready` (it reaches the project with its keys), for probes and people. SIGTERM lets
what is under way end within the 10 s that Cloud Run gives. THREADS and WORKERS are functions-framework's; whether they
are served by threads or an event loop follows from the function.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from wsgiref.types import StartResponse, WSGIEnvironment

from shared.runtime.log import get_log
from shared.runtime.start import check_start
from shared.runtime.stopping import stop_all
from shared.runtime.web.front import AsyncApplication, AsyncFront, Front, Probes
from shared.runtime.web.streamed import Receive, Scope, Send

if TYPE_CHECKING:
    import flask
    from starlette.requests import Request

GRACE_SECONDS = 9
"""Of the 10 after which Cloud Run kills; ticks are told to end sooner (`stopping`)."""

KEPT_SECONDS = 620
"""Longer than load balancers keep an idle connection (600 s at Google's): it is to be they who end it."""

FUNCTIONS = Path(__file__).resolve().parents[3] / "functions"


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
    options = {"graceful_timeout": GRACE_SECONDS, "keepalive": KEPT_SECONDS}
    application, own = _front_function(load_function(target, source), Probes(name))
    # What is loaded by now stays: nobody need look through it again.
    gc.freeze()
    server = create_server(application, debug=False, **options, **own)  # type: ignore[no-untyped-call]
    server.run("0.0.0.0", int(os.environ.get("PORT") or 8080))  # noqa: S104 - a container's only door
    return 0


def _front_function(application: Any, probes: Probes) -> tuple[Any, dict[str, object]]:
    """The function behind what answers probes, and what its kind of server is told besides."""
    from flask import Flask

    if not isinstance(application, Flask):
        return AsyncFront(application, probes), {
            "worker_class": "shared.runtime.web.async_worker.AsyncWorker"
        }
    application.wsgi_app = Front(application.wsgi_app, probes)  # type: ignore[method-assign] # as Flask itself says to
    threads = "shared.runtime.web.kept_connections.KeptConnections"
    return application, {"worker_class": threads, "post_worker_init": _listen_for_stop}


def load_function(target: str, source: str) -> flask.Flask | AsyncApplication:
    """The function as functions-framework runs it, but for the paths which that would answer itself.

    Ours are called without Flask's or Starlette's way to a view, of which they know nothing: it took a sixth of a short
    request.
    """
    from flask import Flask
    from functions_framework import create_app

    application: Any = create_app(target=target, source=source)  # type: ignore[no-untyped-call] # it has no types
    is_ours = Path(source).resolve().parent == FUNCTIONS
    function = getattr(sys.modules[Path(source).stem], target) if is_ours else None
    if not isinstance(application, Flask):
        return partial(_call_async_function, function) if function else cast("AsyncApplication", application)
    if function:
        application.wsgi_app = partial(_call_function, function)  # type: ignore[method-assign]
    else:
        # Before it looks for a route: it would redirect double slashes, and has no robots.txt and no favicon.ico.
        application.before_request(partial(application.view_functions["run"], path=""))
    return application


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


async def _call_async_function(
    function: Callable[[Request], Awaitable[AsyncApplication]], scope: Scope, receive: Receive, send: Send
) -> None:
    from starlette.requests import Request

    if scope["type"] == "http":
        response = await function(Request(scope, receive, send))
        await response(scope, receive, send)


def _listen_for_stop(_: Any) -> None:
    """In each of gunicorn's processes, once it has set its own signal handlers."""
    end = cast("Any", signal.getsignal(signal.SIGTERM))

    def stop(number: int, frame: FrameType | None) -> None:
        stop_all()
        end(number, frame)

    signal.signal(signal.SIGTERM, stop)


if __name__ == "__main__":
    sys.exit(main())
