"""The server: keys, envelopes, zero-based paging, google.rpc errors, and faults that tests inject.

Each other module of this package adds calls with `@route` and keeps what it knows in `FakeGolioth.store`.
"""

from __future__ import annotations

import json
import pkgutil
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.background import InBackground

RPC_STATUS = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14}
"""google.rpc codes by HTTP status."""


@dataclass(frozen=True)
class Call:
    """One request to the API: `parts` are the path's placeholders, `query` the last value of each parameter."""

    fake: FakeGolioth
    parts: dict[str, str]
    query: dict[str, str]
    body: Any

    def page(self, items: Sequence[Any]) -> Reply:
        """The page of `items` that the query asks for, in the list envelope."""
        page, size = (
            int(self.query.get("page", 0)),
            min(int(self.query.get("perPage", 100)), self.fake.most_per_page),
        )
        part = list(items[page * size : (page + 1) * size])
        return Reply({"list": part, "page": page, "perPage": size, "total": len(items)})


@dataclass(frozen=True)
class Reply:
    """What the API answers with, as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """An error as the API tells it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Fault:
    """What goes wrong with the next `times` calls whose `METHOD /path` matches `pattern`.

    `status` answers an error, `seconds` answers late, `gate` once it is set, `close` hangs up: `before` or `after` the
    work was done. `says` is answered in place of what is to be, and with `cut` so many bytes more are announced.
    """

    pattern: str = ""
    times: int = 1
    status: int = 0
    seconds: float = 0.0
    gate: threading.Event | None = None
    close: str = ""
    says: bytes | None = None
    cut: int = 0
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Reply]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Answer `method` on `path` below `/v1`, in which `{name}` stands for one segment and `{name*}` for the rest."""
    pattern = re.escape(path)
    pattern = re.sub(r"\\{(\w+)\\\*\\}", r"(?P<\1>.*)", pattern)
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", pattern)

    def register(handler: Handler) -> Handler:
        # Which of two would answer depended on which test was read first.
        assert all((method, pattern) != (known, each.pattern) for known, each, _ in _ROUTES), (
            f"{method} {path}"
        )
        _ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return register


class FakeGolioth(InBackground):
    """Use it in a `with`: `url` is the base_url for configs. `calls` lists `METHOD /path` of what came, in order.

    `store` holds what each kind of call keeps, by name; hold `lock` where a test reads it while calls are made.
    """

    def __init__(self, project_id: str = "acme-sensors", api_key: str = "canary-golioth-api-key") -> None:
        self.project_id = project_id
        self.organization_id = "acme"
        self.api_key = api_key
        self.most_per_page = 100
        self.calls: list[str] = []
        self.faults: list[Fault] = []
        self.store: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.lock = threading.RLock()
        _load_routes()
        super().__init__(_Server(("127.0.0.1", 0), _make_handler(self)))
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """What the API answers to one request."""
        url = urlsplit(target)
        path = url.path.removeprefix("/v1")
        with self.lock:
            try:
                self._check_key(headers)
                handler, parts = self._find(method, path)
                query = {name: values[-1] for name, values in parse_qs(url.query).items()}
                return handler(Call(self, parts, query, json.loads(body) if body else None))
            except ApiError as error:
                return make_error(error.status, error.message)

    def take_fault(self, method: str, path: str) -> Fault:
        """The fault that is due for a call, counted down; one without effect where none is."""
        with self.lock:
            self.calls.append(f"{method} {path}")
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, f"{method} {path}"):
                    fault.times -= 1
                    return fault
        return Fault()

    def check_project(self, call: Call) -> None:
        """Refuse any project but ours, as the API does for a key of another project."""
        if call.parts.get("project", self.project_id) != self.project_id:
            raise ApiError(403, "permission denied")
        if call.parts.get("organization", self.organization_id) != self.organization_id:
            raise ApiError(403, "permission denied")

    def _check_key(self, headers: dict[str, str]) -> None:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("bearer ")
        if not key:
            raise ApiError(401, "missing credentials")
        if key != self.api_key:
            raise ApiError(403, "permission denied")

    def _find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        for known, pattern, handler in _ROUTES:
            match = pattern.fullmatch(path)
            if match and known == method:
                return handler, {name: unquote(part) for name, part in match.groupdict().items()}
        raise ApiError(404, "Not Found")


def make_error(status: int, message: str) -> Reply:
    """An error as google.rpc.Status."""
    return Reply({"code": RPC_STATUS.get(status, 2), "message": message, "details": []}, status)


@cache
def _load_routes() -> None:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients give up on slow answers.
        pass


def _make_handler(fake: FakeGolioth) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = fake.take_fault(self.command, urlsplit(self.path).path.removeprefix("/v1"))
            if fault.seconds:
                time.sleep(fault.seconds)
            if fault.gate:
                fault.gate.wait(60)
            if fault.close == "before":
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = (
                make_error(fault.status, "injected")
                if fault.status
                else fake.answer(self.command, self.path, headers, body)
            )
            if fault.close == "after":
                self.close_connection = True
                return
            self._reply(reply, fault)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

        def _reply(self, reply: Reply, fault: Fault) -> None:
            body = json.dumps(reply.body).encode() if fault.says is None else fault.says
            self.send_response(reply.status)
            fixed = {"Content-Type": "application/json", "Content-Length": str(len(body) + fault.cut)}
            for name, value in {**fixed, **reply.headers, **fault.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or bool(fault.cut)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
