"""An IoT Hub's service API on a real socket: it works out signatures anew; twins, methods, the registry, queries."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.fakes.http_receiver import Answer, HttpReceiver, Received

VERSION = "2021-04-12"
HOST = "acme.azure-devices.net"
KEY = base64.b64encode(b"the key of the policy of the fake").decode()
Method = Callable[[Any], tuple[int, Any]]
Tree = dict[str, Any]


class RefusedError(Exception):
    """A call that is refused: `code` is the hub's number or its name."""

    def __init__(self, status: int, code: str, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status, self.code, self.words, self.headers = status, code, words, headers or {}


def merge(known: Tree, change: Tree) -> Tree:
    """A merge patch (RFC 7396)."""
    merged = dict(known)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            inner = merged.get(name)
            merged[name] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[name] = value
    return merged


@dataclass
class Call:
    """One call, as its handler sees it."""

    names: list[str]
    body: Any
    headers: dict[str, str]


@dataclass
class FakeIotHub:
    """Use it in a `with`. `devices` are identities and twins in one; `called` what methods were called with."""

    key: str = KEY
    policy: str = "platform"
    rights: set[str] = field(default_factory=lambda: {"ServiceConnect", "RegistryRead", "RegistryWrite"})
    devices: dict[str, Tree] = field(default_factory=dict)
    methods: dict[tuple[str, str], Method] = field(default_factory=dict)
    called: list[tuple[str, str, Any]] = field(default_factory=list)
    refusals: list[RefusedError] = field(default_factory=list)
    """What the next calls are answered in place of what they ask for."""
    twin_refusals: list[RefusedError] = field(default_factory=list)
    """The same, of the next changes of twins."""
    says_nothing: bytes | None = None
    """What calls of methods are answered in place of the device's own answer, once they ran."""
    is_newer: bool = False
    """Whether errors have the newer shape, JSON within a text."""
    between: Callable[[FakeIotHub], None] | None = None
    """Done once after the next twin is read: what somebody else writes meanwhile."""
    circles: bool = False
    """Whether the pages of a query lead back to the first in place of an end."""
    lost: int = 0
    """How many of the next calls that write are done, and their answers cut."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> FakeIotHub:
        self._http = HttpReceiver(self.answer)
        self._http.__enter__()
        self.url = self._http.url.removesuffix("/hook")
        return self

    def __exit__(self, *told: object) -> None:
        self._http.__exit__(*told)

    def know(self, device_id: str, tags: Tree | None = None, *, online: bool = True, **more: Any) -> Tree:
        """A device of the hub."""
        device = {
            "deviceId": device_id,
            "etag": make_etag(),
            "status": "enabled",
            "connectionState": "Connected" if online else "Disconnected",
            "lastActivityTime": "2026-11-20T10:00:00Z" if online else "0001-01-01T00:00:00Z",
            "authentication": {"type": "sas", "symmetricKey": make_keys()},
            "tags": tags or {},
            "desired": {},
            "reported": {},
            "version": 1,
        } | more
        self.devices[device_id] = device
        return device

    def answer(self, request: Received) -> Answer:
        """What the hub says."""
        parts = urlsplit(request.path)
        with self.lock:
            self.asked.append((request.method, parts.path))
            try:
                self._check_signature(request)
                self._check_version(parts.query)
                answer = self._route(request, parts.path)
            except RefusedError as refused:
                return self._refuse(refused)
        if self.lost and request.method != "GET":
            self.lost -= 1
            return Answer(200, b"{", {"Connection": "close", "Content-Length": "1000"})
        return answer

    def _check_signature(self, request: Received) -> None:
        given = request.headers.get("authorization", "").removeprefix("SharedAccessSignature ")
        told = {name: unquote(value) for name, _, value in (each.partition("=") for each in given.split("&"))}
        text = f"{quote(told.get('sr', ''), safe='')}\n{told.get('se')}".encode()
        wanted = base64.b64encode(
            hmac.new(base64.b64decode(self.key), text, hashlib.sha256).digest()
        ).decode()
        ends = int(told.get("se") or 0)
        is_ours = (told.get("sr"), told.get("skn")) == (HOST, self.policy)
        if not is_ours or not hmac.compare_digest(told.get("sig", ""), wanted):
            raise RefusedError(401, "401002", "Unauthorized.")
        if not time.time() < ends < time.time() + 3_600:
            raise RefusedError(401, "401002", "The signature has ended, or is good for too long.")

    def _check_version(self, query: str) -> None:
        if parse_qs(query).get("api-version") != [VERSION]:
            raise RefusedError(400, "400001", "Unknown api-version.")
        if self.refusals:
            raise self.refusals.pop(0)

    def _route(self, request: Received, path: str) -> Answer:
        for method, pattern, right, handler in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                if right not in self.rights:
                    raise RefusedError(401, "401002", f"Unauthorized: {right}.")
                body = json.loads(request.body) if request.body else None
                return handler(self, Call([unquote(each) for each in found.groups()], body, request.headers))
        raise RefusedError(404, "404000", "No such path.")

    def _refuse(self, refused: RefusedError) -> Answer:
        words = f"ErrorCode:{refused.code};{refused.words}"
        if self.is_newer:
            inner = {"errorCode": int(refused.code), "trackingId": uuid.uuid4().hex, "message": refused.words}
            words = json.dumps(inner)
        body = {
            "Message": words,
            "ExceptionMessage": "" if self.is_newer else f"Tracking ID:{uuid.uuid4().hex}",
        }
        headers = {"Content-Type": "application/json", "iothub-errorcode": refused.code}
        return Answer(refused.status, json.dumps(body).encode(), headers | refused.headers)

    def require(self, device_id: str) -> Tree:
        """The device; 404001 where there is none."""
        if device_id not in self.devices:
            raise RefusedError(404, "404001", f"DeviceNotFound: {device_id}")
        return self.devices[device_id]

    def match(self, device: Tree, call: Call) -> None:
        """412 where somebody else has changed it since."""
        wanted = call.headers.get("if-match", "*").strip('"')
        if wanted not in {"*", device["etag"]}:
            raise RefusedError(412, "412002", "PreconditionFailed")


def make_etag() -> str:
    return base64.b64encode(uuid.uuid4().bytes[:6]).decode()


def make_keys() -> dict[str, str]:
    keys = (base64.b64encode(uuid.uuid4().bytes * 2).decode() for _ in range(2))
    return dict(zip(("primaryKey", "secondaryKey"), keys, strict=True))


def say(value: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def describe_twin(device: Tree) -> Tree:
    """The device as its twin."""
    version = {"$metadata": {"$lastUpdated": "2026-11-20T10:00:00Z"}, "$version": device["version"]}
    return {
        **{
            name: device[name]
            for name in ("deviceId", "etag", "status", "connectionState", "lastActivityTime")
        },
        "authenticationType": device["authentication"]["type"],
        "tags": device["tags"],
        "version": device["version"],
        "properties": {"desired": device["desired"] | version, "reported": device["reported"] | version},
    }


def read_twin(fake: FakeIotHub, call: Call) -> Answer:
    answer = say(describe_twin(fake.require(call.names[0])))
    if fake.between is not None:
        meanwhile, fake.between = fake.between, None
        meanwhile(fake)
    return answer


def patch_twin(fake: FakeIotHub, call: Call) -> Answer:
    if fake.twin_refusals:
        raise fake.twin_refusals.pop(0)
    device = fake.require(call.names[0])
    fake.match(device, call)
    device["tags"] = merge(device["tags"], call.body.get("tags") or {})
    device["desired"] = merge(device["desired"], call.body.get("properties", {}).get("desired") or {})
    device |= {"etag": make_etag(), "version": device["version"] + 1}
    return say(describe_twin(device))


def call_method(fake: FakeIotHub, call: Call) -> Answer:
    device_id, name = call.names[0], call.body["methodName"]
    device = fake.require(device_id)
    if device["connectionState"] != "Connected":
        raise RefusedError(
            404, "404103" if fake.is_newer else "DeviceNotOnline", "Timed out waiting for device."
        )
    if (device_id, name) not in fake.methods:
        raise RefusedError(504, "504101", "The device did not answer.")
    fake.called.append((device_id, name, call.body["payload"]))
    status, payload = fake.methods[device_id, name](call.body["payload"])
    if fake.says_nothing is not None:
        return Answer(200, fake.says_nothing)
    return say({"status": status, "payload": payload})


def describe_identity(device: Tree) -> Tree:
    """The device as its identity."""
    names = ("deviceId", "etag", "status", "connectionState", "lastActivityTime", "authentication")
    return {name: device[name] for name in names} | {"capabilities": {"iotEdge": False}}


def read_identity(fake: FakeIotHub, call: Call) -> Answer:
    return say(describe_identity(fake.require(call.names[0])))


def write_identity(fake: FakeIotHub, call: Call) -> Answer:
    device_id = call.names[0]
    if "if-match" not in call.headers:
        if device_id in fake.devices:
            raise RefusedError(409, "409001", "DeviceAlreadyExists")
        fake.know(device_id, online=False)
    device = fake.require(device_id)
    fake.match(device, call)
    authentication = dict(call.body["authentication"])
    if authentication["type"] == "sas" and not authentication.get("symmetricKey"):
        authentication["symmetricKey"] = make_keys()
    device |= {"etag": make_etag(), "status": call.body["status"], "authentication": authentication}
    return say(describe_identity(device))


def remove_identity(fake: FakeIotHub, call: Call) -> Answer:
    fake.require(call.names[0])
    if "if-match" not in call.headers:
        raise RefusedError(412, "412002", "PreconditionFailed")
    del fake.devices[call.names[0]]
    return Answer(204, b"")


def query(fake: FakeIotHub, call: Call) -> Answer:
    """All devices, or those whose tag has a value: no more of the language than that."""
    found = re.fullmatch(r"SELECT \* FROM devices(?: WHERE tags\.(\w+) = '([^']*)')?", call.body["query"])
    if not found:
        raise RefusedError(400, "400011", "The query can't be read.")
    devices = [
        each for each in fake.devices.values() if found[1] is None or each["tags"].get(found[1]) == found[2]
    ]
    size, start = int(call.headers["x-ms-max-item-count"]), int(call.headers.get("x-ms-continuation", 0))
    shown = [describe_twin(each) for each in devices[start : start + size]]
    following = start + size if start + size < len(devices) else 0
    rest = {"x-ms-continuation": str(following)} if following or fake.circles else {}
    return say(shown, {"x-ms-item-type": "Twin", **rest})


Handler = Callable[[FakeIotHub, Call], Answer]
ROUTES: list[tuple[str, str, str, Handler]] = [
    ("POST", r"/devices/query", "RegistryRead", query),
    ("GET", r"/twins/([^/]+)", "ServiceConnect", read_twin),
    ("PATCH", r"/twins/([^/]+)", "ServiceConnect", patch_twin),
    ("POST", r"/twins/([^/]+)/methods", "ServiceConnect", call_method),
    ("GET", r"/devices/([^/]+)", "RegistryRead", read_identity),
    ("PUT", r"/devices/([^/]+)", "RegistryWrite", write_identity),
    ("DELETE", r"/devices/([^/]+)", "RegistryWrite", remove_identity),
]
