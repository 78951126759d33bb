"""Golioth's pipelines as senders: the forms in which they push, and a sender that tries again as a good one does."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import cbor2
import httpx

from tests.plain import PLAIN

LEGACY_SOURCE = "golioth/app/gateway/coap"
PASSING = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Request:
    """One request as it goes out, the same at each try."""

    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Forms:
    """The requests of one project's pipelines, by how they are set up."""

    project_id: str

    def make_json(self, device: str, document: Any, path: str = "sensor") -> Request:
        """The webhook destination alone: CloudEvents headers, and the device's own JSON as the body."""
        return self._make_binary(device, json.dumps(document).encode(), path, "application/json")

    def make_cbor(self, device: str, document: Any, path: str = "sensor") -> Request:
        """The same of a device that speaks CBOR."""
        return self._make_binary(device, cbor2.dumps(document), path, "application/cbor")

    def make_octets(self, device: str, content: bytes, path: str = "blob") -> Request:
        """The same of a device that sends bytes."""
        return self._make_binary(device, content, path, "application/octet-stream")

    def make_injected(self, device: str, document: Any, path: str = "sensor") -> Request:
        """With the transformer `inject-metadata`."""
        return self._make_binary(device, self._envelop(device, document), path, "application/json")

    def make_legacy(self, device: str, document: Any) -> Request:
        """An Output Stream, as it was before there were pipelines."""
        headers = {
            "Ce-Id": str(uuid.uuid4()),
            "Ce-Source": LEGACY_SOURCE,
            "Ce-Specversion": "1.0",
            "Ce-Subject": "stream",
            "Ce-Time": _now(),
            "Ce-Type": "DEVICE_STREAM_TYPE",
            "Content-Type": "application/json",
        }
        return Request(headers, self._envelop(device, document))

    def make_structured(self, device: str, *documents: Any, batch: bool = False) -> Request:
        """Structured CloudEvents, one or a batch; bytes go as data_base64."""
        events = [self._make_event(device, document) for document in documents]
        media_type = "application/cloudevents-batch+json" if batch else "application/cloudevents+json"
        return Request({"Content-Type": media_type}, json.dumps(events if batch else events[0]).encode())

    def _make_binary(self, device: str, body: bytes, path: str, content_type: str) -> Request:
        headers = {
            "Ce-Source": device,
            "Ce-Subject": self.project_id,
            "Ce-Type": f"io.golioth.data.v1/.s/{path}",
            "Ce-Time": _now(),
            "Content-Type": content_type,
        }
        return Request(headers, body)

    def _envelop(self, device: str, document: Any) -> bytes:
        seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
        names = {"device_id": device, "project_id": self.project_id}
        return json.dumps(
            {"data": document, **names, "timestamp": {"nanos": nanos, "seconds": seconds}}
        ).encode()

    def _make_event(self, device: str, document: Any) -> dict[str, Any]:
        event = {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": device,
            "type": "io.golioth.data.v1/.s/sensor",
            "subject": self.project_id,
            "time": _now(),
        }
        if isinstance(document, bytes):
            content = base64.b64encode(document).decode()
            return event | {"datacontenttype": "application/octet-stream", "data_base64": content}
        return event | {"datacontenttype": "application/json", "data": document}


@dataclass
class Pipeline:
    """Posts to one address, in a `with`; on 429, 5xx and broken connections again. `statuses` has all answers."""

    url: str
    headers: dict[str, str]
    tries: int = 10
    longest_wait: float = 1.0
    statuses: list[int] = field(default_factory=list)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, verify=PLAIN))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, request: Request) -> httpx.Response:
        """The last answer; httpx.TransportError where there was none."""
        for attempt in range(1, self.tries + 1):
            try:
                reply = self._http.post(
                    self.url, headers=self.headers | request.headers, content=request.body
                )
            except httpx.TransportError:
                if attempt == self.tries:
                    raise
                time.sleep(self.longest_wait)
                continue
            self.statuses.append(reply.status_code)
            if reply.status_code not in PASSING or attempt == self.tries:
                break
            time.sleep(min(self.longest_wait, float(reply.headers.get("Retry-After", 1))))
        return reply


def _now() -> str:
    """As Go writes it, to the nanosecond."""
    nanoseconds = time.time_ns()
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"
