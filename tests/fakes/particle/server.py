"""Particle's Cloud API on a real socket: devices with their functions and variables, groups, firmware, tokens."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.http_receiver import Answer, HttpReceiver, Received

GARBLED = Answer(200, b"<html>ok</html>", {"Content-Type": "text/html"})
Function = Callable[[str], int]
Device = dict[str, Any]


class RefusedError(Exception):
    """A call that is refused."""

    def __init__(self, status: int, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.headers = status, words, headers or {}


def say(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def tell_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Call:
    """One call, as its handler sees it."""

    names: list[str]
    query: dict[str, str]
    body: Any
    request: Received


@dataclass
class FakeParticle:
    """Use it in a `with`. `releases` are what was released, in order; `called` what functions were called with."""

    product: str = "30301"
    token: str = "particle-token-0123456789"
    client: tuple[str, str] = ("acme-platform-1234", "particle-client-secret")
    expires_in: float = 7_776_000
    page_limit: int = 100
    devices: dict[str, Device] = field(default_factory=dict)
    functions: dict[tuple[str, str], Function] = field(default_factory=dict)
    variables: dict[tuple[str, str], Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    firmware: dict[int, bytes] = field(default_factory=dict)
    releases: list[dict[str, Any]] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    called: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: list[RefusedError] = field(default_factory=list)
    """What the next calls are answered in place of what they ask for."""
    missing: set[str] = field(default_factory=set)
    """The scopes that the token has not."""
    garbled: set[str] = field(default_factory=set)
    """Of the calls that need these scopes, or a token (`token`), what is done and then answered with no JSON."""
    is_strict: bool = False
    """Whether firmware may only be released once a device runs it."""
    lost: int = 0
    """How many of the next calls that write are done, and their answers cut."""
    tokens: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeParticle:
        self._http = HttpReceiver(self.answer)
        self._http.__enter__()
        self.url = self._http.url.removesuffix("/hook")
        return self

    def __exit__(self, *told: object) -> None:
        self._http.__exit__(*told)

    @property
    def valid_tokens(self) -> list[str]:
        """What opens it."""
        return [self.token, *self.tokens]

    def know(self, device_id: str, **more: Any) -> Device:
        """A device of the product."""
        device: Device = {
            "id": device_id,
            "name": device_id,
            "serial_number": f"SN{device_id}",
            "platform_id": 13,
            "product_id": int(self.product),
            "online": True,
            "connected": True,
            "last_heard": "2026-11-20T10:00:00.000Z",
            "last_handshake_at": "2026-11-20T09:00:00.000Z",
            "firmware_version": 1,
            "desired_firmware_version": None,
            "groups": [],
            "notes": None,
            "functions": [],
            "variables": {},
            "status": "normal",
        } | more
        self.devices[device_id] = device
        for group in device["groups"]:
            self.groups.setdefault(group, {"name": group})
        return device

    def run_version(self, device_id: str, version: int) -> None:
        """The device has installed it and is back."""
        self.devices[device_id] |= {"firmware_version": version, "last_handshake_at": tell_time()}

    def answer(self, request: Received) -> Answer:
        """What the API says."""
        parts = urlsplit(request.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self.lock:
            self.asked.append((request.method, parts.path))
            if parts.path == "/oauth/token":
                return self._make_token(request)
        try:
            self._check_token(request)
            with self.lock:
                if self.refusals:
                    raise self.refusals.pop(0)
            answer = self._route(request, parts.path, query)
        except RefusedError as refused:
            return say({"ok": False, "error": refused.words}, refused.status, refused.headers)
        if self.lost and request.method != "GET":
            self.lost -= 1
            return Answer(200, b"{", {"Connection": "close", "Content-Length": "1000"})
        return answer

    def _check_token(self, request: Received) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given not in self.valid_tokens:
            raise RefusedError(401, "invalid_token")

    def _route(self, request: Received, path: str, query: dict[str, str]) -> Answer:
        for method, pattern, scope, handler in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                names = [unquote(each) for each in found.groups()]
                if names[0] != self.product:
                    raise RefusedError(404, "Product not found")
                if scope in self.missing:
                    raise RefusedError(403, f"insufficient_scope: {scope}")
                is_json = "json" in request.headers.get("content-type", "")
                body = json.loads(request.body) if request.body and is_json else None
                answer = handler(self, Call(names[1:], query, body, request))
                return GARBLED if scope in self.garbled else answer
        raise RefusedError(404, "Not found")

    def _make_token(self, request: Received) -> Answer:
        if "token" in self.garbled:
            return GARBLED
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return say({"error": "unsupported_grant_type"}, 400)
        if (form.get("client_id"), form.get("client_secret")) != self.client:
            return say(
                {"error": "invalid_client", "error_description": "Client credentials are invalid"}, 400
            )
        self.tokens.append(f"made-{uuid.uuid4().hex}")
        return say({"access_token": self.tokens[-1], "token_type": "bearer", "expires_in": self.expires_in})

    def require(self, device_id: str) -> Device:
        """The device; 404 where there is none."""
        if device_id not in self.devices:
            raise RefusedError(404, "Device not found")
        return self.devices[device_id]


def read_product(fake: FakeParticle, _call: Call) -> Answer:
    return say({"product": {"id": int(fake.product), "name": "Tempmon", "slug": "tempmon"}})


def list_devices(fake: FakeParticle, call: Call) -> Answer:
    size = min(int(call.query.get("perPage", 25)), fake.page_limit)
    page, group = int(call.query.get("page", 1)), call.query.get("groups")
    found = [each for each in fake.devices.values() if group in (None, *each["groups"])]
    pages = max(1, -(-len(found) // size))
    meta = {"total_records": len(found), "total_pages": pages}
    return say({"devices": found[(page - 1) * size : page * size], "customers": [], "meta": meta})


def add_device(fake: FakeParticle, call: Call) -> Answer:
    device_id = call.body["id"]
    if not re.fullmatch("[0-9a-f]{24}", device_id):
        return say({"updated": 0, "invalidDeviceIds": [device_id]}, 400)
    if device_id not in fake.devices:
        fake.know(device_id, claimed_by=call.body.get("claim_user"))
    return say({"updated": 1, "nonmemberDeviceIds": [], "invalidDeviceIds": []})


def read_device(fake: FakeParticle, call: Call) -> Answer:
    return say(fake.require(call.names[0]))


def change_device(fake: FakeParticle, call: Call) -> Answer:
    device = fake.require(call.names[0])
    device |= call.body
    for group in device["groups"]:
        fake.groups.setdefault(group, {"name": group})
    return say({"id": device["id"], **call.body, "updated_at": tell_time()})


def remove_device(fake: FakeParticle, call: Call) -> Answer:
    fake.require(call.names[0])
    del fake.devices[call.names[0]]
    return Answer(204, b"")


def call_function(fake: FakeParticle, call: Call) -> Answer:
    device_id, name = call.names
    device = fake.require(device_id)
    if not device["connected"]:
        raise RefusedError(404, "Device is not connected.")
    if (device_id, name) not in fake.functions:
        raise RefusedError(400, f"Function {name} not found")
    fake.called.append((device_id, name, call.body["arg"]))
    value = fake.functions[device_id, name](call.body["arg"])
    return say({"id": device_id, "name": device["name"], "connected": True, "return_value": value})


def read_variable(fake: FakeParticle, call: Call) -> Answer:
    device_id, name = call.names
    device = fake.require(device_id)
    if not device["connected"] or (device_id, name) not in fake.variables:
        raise RefusedError(404, "Variable not found")
    info = {"deviceID": device_id, "connected": True, "last_handshake_at": device["last_handshake_at"]}
    return say({"name": name, "result": fake.variables[device_id, name], "coreInfo": info})


def publish(fake: FakeParticle, call: Call) -> Answer:
    fake.published.append(call.body)
    return say({"ok": True})


def list_groups(fake: FakeParticle, _call: Call) -> Answer:
    return say({"groups": [describe_group(fake, name) for name in fake.groups]})


def describe_group(fake: FakeParticle, name: str) -> dict[str, Any]:
    """A group with how many devices are in it."""
    count = sum(name in each["groups"] for each in fake.devices.values())
    return {"color": "#00aeef", "description": "", **fake.groups[name], "device_count": count}


def read_group(fake: FakeParticle, call: Call) -> Answer:
    if call.names[0] not in fake.groups:
        raise RefusedError(404, "Group not found")
    return say(describe_group(fake, call.names[0]))


def add_group(fake: FakeParticle, call: Call) -> Answer:
    name = call.body["name"]
    if name in fake.groups:
        raise RefusedError(409, "Group exists already")
    fake.groups[name] = {"name": name}
    return say(describe_group(fake, name), 201)


def list_firmware(fake: FakeParticle, _call: Call) -> Answer:
    return say([describe_firmware(fake, version) for version in fake.firmware])


def describe_firmware(fake: FakeParticle, version: int) -> dict[str, Any]:
    """A version as it is listed."""
    size = len(fake.firmware[version])
    return {
        "version": version,
        "title": f"Version {version}",
        "size": size,
        "uploaded_on": "2026-11-20T10:00:00.000Z",
        "product_default": False,
    }


def read_firmware(fake: FakeParticle, call: Call) -> Answer:
    version = int(call.names[0])
    if version not in fake.firmware:
        raise RefusedError(404, "Firmware not found")
    return say(describe_firmware(fake, version))


def remove_firmware(fake: FakeParticle, call: Call) -> Answer:
    if any(each["version"] == int(call.names[0]) for each in fake.releases):
        raise RefusedError(400, "Firmware was released")
    del fake.firmware[int(call.names[0])]
    return Answer(204, b"")


def add_firmware(fake: FakeParticle, call: Call) -> Answer:
    head = f"Content-Type: {call.request.headers['content-type']}\r\n\r\n".encode()
    whole = message_from_bytes(head + call.request.body)
    parts: dict[str, Message] = {
        str(each.get_param("name", header="content-disposition")): each
        for each in whole.walk()
        if not each.is_multipart()
    }
    version = int(str(parts["version"].get_payload()))
    if version in fake.firmware:
        raise RefusedError(409, "Version exists already")
    fake.firmware[version] = bytes(parts["binary"].get_payload(decode=True))
    return say(describe_firmware(fake, version), 201)


def release(fake: FakeParticle, call: Call) -> Answer:
    version, groups = call.body["version"], call.body["groups"]
    if version not in fake.firmware:
        raise RefusedError(404, "Firmware not found")
    runs = any(each["firmware_version"] == version for each in fake.devices.values())
    if fake.is_strict and not runs:
        raise RefusedError(400, "The firmware must be running on at least one device of the product.")
    fake.releases.append(call.body)
    for group in groups:
        fake.groups[group]["fw_version"] = version
    return say({"version": version, "groups": groups, "intelligent": call.body["intelligent"]})


def sleep(seconds: float) -> Function:
    """A function that takes its time."""

    def run(_argument: str) -> int:
        time.sleep(seconds)
        return 0

    return run


PRODUCT = r"/v1/products/([^/]+)"
DEVICE = rf"{PRODUCT}/devices/([^/]+)"
Handler = Callable[[FakeParticle, Call], Answer]
ROUTES: list[tuple[str, str, str, Handler]] = [
    ("GET", PRODUCT, "products:get", read_product),
    ("GET", rf"{PRODUCT}/devices", "devices:list", list_devices),
    ("POST", rf"{PRODUCT}/devices", "devices:import", add_device),
    ("GET", DEVICE, "devices:get", read_device),
    ("PUT", DEVICE, "devices:update", change_device),
    ("DELETE", DEVICE, "devices:remove", remove_device),
    ("POST", rf"{DEVICE}/([^/]+)", "devices.function:call", call_function),
    ("GET", rf"{DEVICE}/([^/]+)", "devices.variable:get", read_variable),
    ("POST", rf"{PRODUCT}/events", "events:send", publish),
    ("GET", rf"{PRODUCT}/groups", "groups:list", list_groups),
    ("POST", rf"{PRODUCT}/groups", "groups:create", add_group),
    ("GET", rf"{PRODUCT}/groups/([^/]+)", "groups:list", read_group),
    ("PUT", rf"{PRODUCT}/firmware/release", "firmware:release", release),
    ("GET", rf"{PRODUCT}/firmware", "firmware:list", list_firmware),
    ("POST", rf"{PRODUCT}/firmware", "firmware:create", add_firmware),
    ("GET", rf"{PRODUCT}/firmware/(\d+)", "firmware:list", read_firmware),
    ("DELETE", rf"{PRODUCT}/firmware/(\d+)", "firmware:remove", remove_firmware),
]
