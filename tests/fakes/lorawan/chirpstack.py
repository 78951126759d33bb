"""ChirpStack's DeviceService on a real socket, as gRPC-Web over HTTP/1.1: devices, their keys and their queues.

A key that may not do a call, and a device that is not there for a key of a tenant, is answered with 16 without words.
"""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from shared.providers.lorawan_chirpstack.schema import CALLS, MESSAGES
from tests.fakes.http_receiver import Answer, HttpReceiver, Received

GRPC_WEB = "application/grpc-web+proto"
READING = frozenset(("List", "Get", "GetQueue"))
LOST = {"Connection": "close", "Content-Length": "1000"}


class RefusedError(Exception):
    """A call that ends with a status other than 0."""

    def __init__(self, status: int, words: str = "") -> None:
        super().__init__(words)
        self.status, self.words = status, words


def write_frame(flags: int, content: bytes) -> bytes:
    return bytes([flags]) + len(content).to_bytes(4, "big") + content


def write_trailers(status: int, words: str = "") -> bytes:
    return write_frame(0x80, f"grpc-status:{status}\r\ngrpc-message:{quote(words)}\r\n".encode())


@dataclass
class FakeChirpstack:
    """Use it in a `with`. `queues` holds what is queued for each device, in its order."""

    application: str
    key: str = "eyJ.chirpstack.key"
    may_write: bool = True
    is_admin: bool = False
    has_expiry: bool = True
    """Whether it knows of expires_at, as from 4.14."""
    in_headers: bool = True
    """Whether a refusal stands in the headers, or in a frame."""
    refusals: list[RefusedError] = field(default_factory=list)
    """What the next calls are answered in place of what they ask for."""
    lost: int = 0
    """How many of the next calls that write are done, and their answers cut."""
    tls: ssl.SSLContext | None = None
    before_answer: Callable[[Any], object] | None = None
    """What is done with each item between its coming into a queue and the answer."""
    devices: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, datetime] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    queues: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> FakeChirpstack:
        self._http = HttpReceiver(self.answer, self.tls)
        self._http.__enter__()
        self.url = self._http.url.removesuffix("/hook")
        return self

    def __exit__(self, *told: object) -> None:
        self._http.__exit__(*told)

    @contextmanager
    def answering(self, answer: Callable[[Received], Answer]) -> Iterator[None]:
        """Something else than ChirpStack."""
        self._http.answer = answer
        try:
            yield
        finally:
            self._http.answer = self.answer

    def know(self, eui: str, name: str = "", **more: Any) -> None:
        """A device of the application."""
        self.devices[eui] = MESSAGES["Device"](
            dev_eui=eui,
            name=name or eui,
            application_id=self.application,
            device_profile_id="14855bf7-d10d-4aee-b618-ebfcb64dc7ad",
            **more,
        )

    def answer(self, request: Received) -> Answer:
        """A call, by its path."""
        service, _, name = request.path.strip("/").partition("/")
        if service != "api.DeviceService" or request.headers.get("content-type") != GRPC_WEB:
            return Answer(404, b"<html>no such page</html>", {"Content-Type": "text/html"})
        with self.lock:
            self.asked.append(name)
            try:
                asked = MESSAGES[CALLS[name][0]].FromString(request.body[5:])
                told = self._do(name, asked, request.headers.get("authorization", ""))
            except RefusedError as refused:
                return self._refuse(refused)
            if self.lost and name not in READING:
                self.lost -= 1
                return Answer(200, b"\x00", LOST | {"Content-Type": GRPC_WEB})
        return Answer(
            200, write_frame(0, told.SerializeToString()) + write_trailers(0), {"Content-Type": GRPC_WEB}
        )

    def _do(self, name: str, asked: Any, authorization: str) -> Any:
        if self.refusals:
            raise self.refusals.pop(0)
        if authorization != f"Bearer {self.key}":
            raise RefusedError(16, "InvalidSignature")
        if not self.may_write and name not in READING:
            raise RefusedError(16)
        return CALLED[name](self, asked)

    def _refuse(self, refused: RefusedError) -> Answer:
        told = {"Content-Type": GRPC_WEB}
        if self.in_headers:
            status = {"grpc-status": str(refused.status), "grpc-message": quote(refused.words)}
            return Answer(200, b"", told | status)
        return Answer(200, write_trailers(refused.status, refused.words), told)

    def require(self, eui: str) -> Any:
        """The device, by its EUI in any letter case."""
        if (device := self.devices.get(eui.lower())) is None:
            raise RefusedError(5, f"Object does not exist (id: {eui})") if self.is_admin else RefusedError(16)
        return device


def list_devices(fake: FakeChirpstack, asked: Any) -> Any:
    if asked.application_id != fake.application:
        raise RefusedError(16)
    ours = sorted(
        (each for each in fake.devices.values() if each.application_id == fake.application),
        key=lambda each: each.dev_eui if asked.order_by else each.name,
    )
    shown = [
        {
            "dev_eui": each.dev_eui,
            "name": each.name,
            "description": each.description,
            "updated_at": datetime(2026, 11, 1, tzinfo=UTC),
            "last_seen_at": fake.seen.get(each.dev_eui),
            "device_profile_id": each.device_profile_id,
            "device_profile_name": "Rooms",
            "tags": list(each.tags),
        }
        for each in ours[asked.offset : asked.offset + asked.limit]
    ]
    return MESSAGES["ListReply"](total_count=len(ours), result=shown)


def get(fake: FakeChirpstack, asked: Any) -> Any:
    device = fake.require(asked.dev_eui)
    return MESSAGES["GetReply"](
        device=device,
        updated_at=datetime(2026, 11, 1, tzinfo=UTC),
        last_seen_at=fake.seen.get(device.dev_eui),
    )


def create(fake: FakeChirpstack, asked: Any) -> Any:
    if asked.device.application_id != fake.application:
        raise RefusedError(16)
    if asked.device.dev_eui in fake.devices:
        raise RefusedError(6, f"Object already exists (id: {asked.device.dev_eui})")
    fake.devices[asked.device.dev_eui] = asked.device
    return MESSAGES["Empty"]()


def update(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.device.dev_eui)
    fake.devices[asked.device.dev_eui] = asked.device
    return MESSAGES["Empty"]()


def delete(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.dev_eui)
    del fake.devices[asked.dev_eui]
    return MESSAGES["Empty"]()


def create_keys(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.device_keys.dev_eui)
    if asked.device_keys.dev_eui in fake.keys:
        raise RefusedError(6, f"Object already exists (id: {asked.device_keys.dev_eui})")
    return update_keys(fake, asked)


def update_keys(fake: FakeChirpstack, asked: Any) -> Any:
    fake.keys[asked.device_keys.dev_eui] = asked.device_keys
    return MESSAGES["Empty"]()


def enqueue(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.queue_item.dev_eui)
    queue = fake.queues.setdefault(asked.queue_item.dev_eui, [])
    if asked.flush_queue:
        queue.clear()
    asked.queue_item.id = str(uuid.uuid4())
    if not fake.has_expiry:
        asked.queue_item.ClearField("expires_at")
    queue.append(asked.queue_item)
    if fake.before_answer:
        fake.before_answer(asked.queue_item)
    return MESSAGES["EnqueueReply"](id=asked.queue_item.id)


def get_queue(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.dev_eui)
    queue = fake.queues.get(asked.dev_eui, [])
    return MESSAGES["QueueReply"](total_count=len(queue), result=queue)


def flush_queue(fake: FakeChirpstack, asked: Any) -> Any:
    fake.require(asked.dev_eui)
    fake.queues[asked.dev_eui] = []
    return MESSAGES["Empty"]()


CALLED: dict[str, Callable[[FakeChirpstack, Any], Any]] = {
    "List": list_devices,
    "Get": get,
    "Create": create,
    "Update": update,
    "Delete": delete,
    "CreateKeys": create_keys,
    "UpdateKeys": update_keys,
    "Enqueue": enqueue,
    "GetQueue": get_queue,
    "FlushQueue": flush_queue,
}
