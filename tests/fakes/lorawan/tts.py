"""The Things Stack's API on a real socket: downlink queues, the registries of devices, what it has stored."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.http_receiver import Answer, HttpReceiver, Received

RIGHTS = {
    "down": "RIGHT_APPLICATION_TRAFFIC_DOWN_WRITE",
    "devices": "RIGHT_APPLICATION_DEVICES_READ",
    "write": "RIGHT_APPLICATION_DEVICES_WRITE",
    **dict.fromkeys(("js", "ns", "as"), "RIGHT_APPLICATION_DEVICES_WRITE_KEYS"),
    "storage": "RIGHT_APPLICATION_TRAFFIC_READ",
}
API = "/api/v3"


def write_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def refuse(status: int, name: str, words: str, code: int = 0, **attributes: Any) -> Answer:
    """An error as the API tells it."""
    detail = {
        "@type": "type.googleapis.com/ttn.lorawan.v3.ErrorDetails",
        "namespace": "pkg/auth/rights",
        "name": name,
        "attributes": attributes,
    }
    return write_json(
        {"code": code, "message": f"error:pkg/auth/rights:{name} ({words})", "details": [detail]}, status
    )


@dataclass
class FakeTts:
    """Use it in a `with`. `queues` holds what is queued for each device, `devices` what each registry knows."""

    application: str
    key: str = "NNSXS.KEY"
    missing: set[str] = field(default_factory=set)
    limited: list[float] = field(default_factory=list)
    """How long each of the next downlinks is told to wait."""
    garbled: int = 0
    """How many of the next downlinks are taken and answered with no JSON."""
    queues: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    joins: dict[str, dict[str, Any]] = field(default_factory=dict)
    network: dict[str, dict[str, Any]] = field(default_factory=dict)
    served: dict[str, dict[str, Any]] = field(default_factory=dict)
    stored: list[dict[str, Any]] = field(default_factory=list)
    cut_after: int | None = None
    has_one_page: bool = False
    """Whether it heeds no number of a page."""
    page: bytes | None = None
    """What its storage answers, whatever it is asked."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeTts:
        self._http = HttpReceiver(self.answer)
        self._http.__enter__()
        self.url = self._http.url.removesuffix("/hook")
        return self

    def __exit__(self, *told: object) -> None:
        self._http.__exit__(*told)

    def answer(self, request: Received) -> Answer:
        """What the API says."""
        parts = urlsplit(request.path)
        path = parts.path.removeprefix(API)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self.lock:
            self.asked.append((request.method, path))
            if request.headers.get("authorization") != f"Bearer {self.key}":
                return refuse(401, "unauthenticated", "invalid API key", 16)
            body = json.loads(request.body) if request.body else None
            for method, pattern, right, handler in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method == request.method:
                    if right in self.missing:
                        return refuse(
                            403, "no_rights", "insufficient application rights", 7, missing=[RIGHTS[right]]
                        )
                    names = [unquote(each) for each in found.groups()]
                    if names[0] != self.application:
                        return refuse(404, "application_not_found", "application not found", 5)
                    return handler(self, names[1:], query, body)
        return refuse(404, "not_found", "no such path", 5)


Handler = Callable[[FakeTts, list[str], dict[str, str], Any], Answer]


def queue(fake: FakeTts, names: list[str], _query: dict[str, str], body: Any) -> Answer:
    device, operation = names
    if fake.limited:
        wait = fake.limited.pop(0)
        answer = refuse(429, "rate_limit_exceeded", "rate limit of `as:down:queue` exceeded", 8)
        return Answer(429, answer.body, {"Retry-After": f"{wait:g}", "X-Ratelimit-Limit": "1"})
    if device not in fake.devices:
        return refuse(404, "device_not_found", "device not found", 5)
    kept = fake.queues.get(device, []) if operation == "push" else []
    fake.queues[device] = kept + body["downlinks"]
    if fake.garbled:
        fake.garbled -= 1
        return Answer(200, b"<html>ok</html>", {"Content-Type": "text/html"})
    return write_json({})


def list_devices(fake: FakeTts, _names: list[str], query: dict[str, str], _body: Any) -> Answer:
    size, page = int(query.get("limit", 100)), 1 if fake.has_one_page else int(query.get("page", 1))
    found = list(fake.devices.values())
    shown = found[(page - 1) * size : page * size]
    answer = write_json({"end_devices": shown} if shown else {})
    return Answer(answer.status, answer.body, {**answer.headers, "X-Total-Count": str(len(found))})


def create(fake: FakeTts, _names: list[str], _query: dict[str, str], body: Any) -> Answer:
    device = body["end_device"]
    name, eui = device["ids"]["device_id"], device["ids"].get("dev_eui")
    taken = {each["ids"].get("dev_eui") for each in fake.devices.values()}
    if name in fake.devices or (eui and eui in taken):
        return refuse(409, "end_device_euis_taken", "an end device with these EUIs is already registered", 6)
    fake.devices[name] = pick(device, body["field_mask"]["paths"])
    return write_json(fake.devices[name])


def pick(device: dict[str, Any], paths: list[str]) -> dict[str, Any]:
    """What the mask names; an attribute of the device that it does not name is not written."""
    return {"ids": device["ids"]} | {path: device[path] for path in paths if path in device}


def change(fake: FakeTts, names: list[str], _query: dict[str, str], body: Any) -> Answer:
    if names[0] not in fake.devices:
        return refuse(404, "end_device_not_found", "end device not found", 5)
    fake.devices[names[0]] |= pick(body["end_device"], body["field_mask"]["paths"])
    return write_json(fake.devices[names[0]])


def read(fake: FakeTts, names: list[str], _query: dict[str, str], _body: Any) -> Answer:
    if names[0] not in fake.devices:
        return refuse(404, "end_device_not_found", "end device not found", 5)
    return write_json(fake.devices[names[0]])


def remove(fake: FakeTts, names: list[str], _query: dict[str, str], _body: Any) -> Answer:
    if fake.devices.pop(names[0], None) is None:
        return refuse(404, "end_device_not_found", "end device not found", 5)
    return write_json({})


def at_server(store: str) -> Handler:
    """PUT at the Join, Network or Application Server."""

    def put(fake: FakeTts, names: list[str], _query: dict[str, str], body: Any) -> Answer:
        getattr(fake, store)[names[0]] = body["end_device"]
        return write_json(body["end_device"])

    return put


def leave_server(store: str) -> Handler:
    def leave(fake: FakeTts, names: list[str], _query: dict[str, str], _body: Any) -> Answer:
        known = getattr(fake, store).pop(names[0], None)
        return write_json({}) if known else refuse(404, "device_not_found", "device not found", 5)

    return leave


def write_rows(rows: list[dict[str, Any]]) -> bytes:
    """An answer of its storage."""
    return b"".join(json.dumps({"result": row}).encode() + b"\n\n" for row in rows)


def read_storage(fake: FakeTts, _names: list[str], query: dict[str, str], _body: Any) -> Answer:
    """A line for each; cut in the middle of one where the fake is told so, once."""
    if fake.page is not None:
        return Answer(200, fake.page, {"Content-Type": "text/event-stream"})
    after, before = (datetime.fromisoformat(query[name]) for name in ("after", "before"))
    found = [row for row in fake.stored if after < datetime.fromisoformat(row["received_at"]) < before]
    shown = sorted(found, key=lambda row: str(row["received_at"]))[: int(query["limit"])]
    body = write_rows(shown)
    if fake.cut_after is not None and len(body) > fake.cut_after:
        body, fake.cut_after = body[: fake.cut_after], None
    return Answer(200, body, {"Content-Type": "text/event-stream"})


ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", r"/as/applications/([^/]+)/devices/([^/]+)/down/(push|replace)", "down", queue),
    ("GET", r"/applications/([^/]+)/devices", "devices", list_devices),
    ("POST", r"/applications/([^/]+)/devices", "write", create),
    ("GET", r"/applications/([^/]+)/devices/([^/]+)", "devices", read),
    ("PUT", r"/applications/([^/]+)/devices/([^/]+)", "write", change),
    ("DELETE", r"/applications/([^/]+)/devices/([^/]+)", "write", remove),
    ("GET", r"/as/applications/([^/]+)/packages/storage/uplink_message", "storage", read_storage),
    *(
        (method, rf"/{server}/applications/([^/]+)/devices/([^/]+)", right, make(store))
        for server, store in (("js", "joins"), ("ns", "network"), ("as", "served"))
        for method, make, right in (("PUT", at_server, server), ("DELETE", leave_server, server))
    ),
]
