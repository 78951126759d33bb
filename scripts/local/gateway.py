"""The one HTTP port: /auth/v1, /rest/v1, /functions/v1 and /realtime/v1 under gunicorn, in workers of many threads.

Run by scripts/serve as a child of its own, with the listening socket already bound.
"""

from __future__ import annotations

import argparse
import gc
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

from scripts.local.auth import Auth
from scripts.local.data_folder import DataFolder, database_url
from scripts.local.edge import NO_CONTENT, OPEN_OF_AUTH, allow_origins, front_service, refuse
from scripts.local.functions import load_functions
from scripts.local.realtime import Realtime
from scripts.local.rest import build_rest
from scripts.local.tokens import Tokens

WORKERS = 2
# A function calls /rest/v1 on this same port, so functions may hold only a part of the threads, running or waiting:
# were they to hold all, each would wait for an answer nobody is left to give.
THREADS = 224
FUNCTIONS_RUNNING = 32
FUNCTIONS_ADMITTED = 160
FUNCTION_WAIT_SECONDS = 30.0


NOTHING_HERE = (
    "no Route matched with those values: the local stack (scripts/serve) serves /rest/v1, /auth/v1 and /functions/v1; "
    "docs/local-stack.md says what of them"
)
NO_ROUTE = allow_origins(refuse(404, "NOT_FOUND", NOTHING_HERE), NO_CONTENT)
NO_FUNCTION = allow_origins(refuse(404, "NOT_FOUND", "Requested function was not found"), NO_CONTENT)
BUSY = allow_origins(
    refuse(503, "WORKER_LIMIT", "Too many functions run at once; try again", {"Retry-After": "1"}), NO_CONTENT
)


class Gateway:
    """Routes by prefix; what it passes on sees the prefix in SCRIPT_NAME, as WSGI has it."""

    def __init__(
        self, services: Mapping[str, WSGIApplication], functions: Mapping[str, WSGIApplication]
    ) -> None:
        self._services = services
        self._functions = functions
        self._admitted = threading.BoundedSemaphore(FUNCTIONS_ADMITTED)
        self._running = threading.BoundedSemaphore(FUNCTIONS_RUNNING)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        path = environ.get("PATH_INFO", "")
        for prefix, service in self._services.items():
            if path == prefix or path.startswith(prefix + "/"):
                return _pass_on(service, prefix, environ, start_response)
        if path.startswith("/functions/v1/"):
            return self._call_function(path, environ, start_response)
        return NO_ROUTE(environ, start_response)

    def _call_function(
        self, path: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        name = path.split("/")[3]
        function = self._functions.get(name)
        if function is None:
            return NO_FUNCTION(environ, start_response)
        if self._admitted.acquire(blocking=False):
            try:
                if self._running.acquire(timeout=FUNCTION_WAIT_SECONDS):
                    return self._run_function(function, name, environ, start_response)
            finally:
                self._admitted.release()
        return BUSY(environ, start_response)

    def _run_function(
        self, function: WSGIApplication, name: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            return _pass_on(function, f"/functions/v1/{name}", environ, start_response)
        finally:
            self._running.release()


class Server(BaseApplication):  # type: ignore[misc] # gunicorn publishes no types
    """gunicorn with our settings. `build` runs in each worker: connections must not cross a fork."""

    def __init__(self, build: Callable[[], WSGIApplication], settings: dict[str, Any]) -> None:
        self._build = build
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """gunicorn asks for its settings here."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """gunicorn asks for the application here, once in each worker."""
        return self._build()


def main() -> None:
    """Loads the functions, so that one that fails to import stops the start, then serves."""
    options = _read_options()
    functions = load_functions(options.functions)
    # A stopping worker waits so long for kept connections; the most are those of our own functions, which never close.
    gthread.STOP_KEEPALIVE_LINGER = 0.0
    # What is loaded by now stays: the workers need neither look through it nor copy its pages.
    gc.freeze()
    Server(lambda: _build_gateway(options, functions), _gunicorn_settings(options.listen_fd)).run()


def _build_gateway(options: argparse.Namespace, functions: Mapping[str, WSGIApplication]) -> Gateway:
    folder = DataFolder(options.data)
    credentials, port = folder.load_credentials(), folder.load_ports().postgres
    tokens = Tokens(credentials)
    auth = Auth(
        database_url(credentials, port, "supabase_auth_admin"),
        tokens,
        f"{options.url}/auth/v1",
        folder.logs / "mail.log",
    )
    rest = build_rest(database_url(credentials, port, "authenticator"), tokens.verify_token, options.max_rows)
    keys = [tokens.make_api_key(role) for role in ("anon", "service_role")]
    services = {
        "/auth/v1": front_service(auth, keys, OPEN_OF_AUTH),
        "/rest/v1": front_service(rest, keys),
        "/realtime/v1": front_service(Realtime(), keys),
    }
    return Gateway(services, functions)


def _pass_on(
    application: WSGIApplication, prefix: str, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    inner = {**environ, "SCRIPT_NAME": prefix, "PATH_INFO": environ["PATH_INFO"].removeprefix(prefix) or "/"}
    return application(inner, start_response)


def _gunicorn_settings(listen_fd: int) -> dict[str, Any]:
    return {
        "bind": [f"fd://{listen_fd}"],
        "workers": WORKERS,
        "worker_class": "shared.runtime.web.kept_connections.KeptConnections",
        "threads": THREADS,
        "timeout": 120,  # a scheduler tick lasts 50 seconds and more
        "graceful_timeout": 5,
        "keepalive": 75,
        "loglevel": "warning",
        "proc_name": "local-stack-gateway",
    }


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.local.gateway")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--functions", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--max-rows", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
