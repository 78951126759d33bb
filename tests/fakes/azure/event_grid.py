"""Event Grid as a sender: both schemas, both handshakes, batches, retries; what it is refused for good it drops."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from tests.plain import PLAIN

HUB = "acme"
PATIENCE_SECONDS = 30.0
PAUSES = (0, 10, 30, 60, 300, 600, 1_800, 3_600)
NEVER_AGAIN = {400, 401, 403, 413}
TOPIC = f"/SUBSCRIPTIONS/5F9/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/{HUB.upper()}"
Schema = Literal["grid", "cloud"]
Event = dict[str, Any]


def tell_time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_event(kind: str, device: str, data: dict[str, Any], **more: Any) -> Event:
    """An event in Event Grid's own schema."""
    return {
        "id": str(uuid.uuid4()),
        "topic": TOPIC,
        "subject": f"devices/{device}",
        "eventType": f"Microsoft.Devices.{kind}",
        "eventTime": tell_time(),
        "data": data,
        "dataVersion": "",
        "metadataVersion": "1",
    } | more


def make_telemetry(device: str, body: Any, properties: dict[str, str] | None = None, **more: Any) -> Event:
    """As JSON where the device has said that it is, else as base64, for which `body` is bytes."""
    is_bytes = isinstance(body, bytes)
    said = {} if is_bytes else {"iothub-content-type": "application/json", "iothub-content-encoding": "utf-8"}
    system = {
        "iothub-connection-device-id": device,
        "iothub-connection-auth-method": '{"scope":"device","type":"sas","issuer":"iothub"}',
        "iothub-connection-auth-generation-id": "637534345627501371",
        "iothub-enqueuedtime": tell_time(),
        "iothub-message-source": "Telemetry",
        **said,
        **more,
    }
    content = base64.b64encode(body).decode() if is_bytes else body
    data = {"body": content, "properties": properties or {}, "systemProperties": system}
    return make_event("DeviceTelemetry", device, data)


def make_connection(device: str, status: str, sequence: int, **more: Any) -> Event:
    """Connected or disconnected; the number orders them."""
    kind = "DeviceConnected" if status == "online" else "DeviceDisconnected"
    number = f"{sequence:064X}"
    info = {"deviceConnectionStateEventInfo": {"sequenceNumber": number}, "hubName": HUB, "deviceId": device}
    return make_event(kind, device, info | more)


def as_cloud_event(event: Event) -> Event:
    """The same as CloudEvents 1.0."""
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "subject": event["subject"],
        "data": event["data"],
    }


@dataclass
class Subscription:
    """One event subscription. Pauses between tries are asked of `sleep`."""

    url: str
    schema: Schema = "grid"
    headers: dict[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = lambda _: None
    statuses: list[int] = field(default_factory=list)
    dropped: list[Event] = field(default_factory=list)

    def validate(self) -> bool:
        """The handshake: without it there is no subscription."""
        return self._greet() if self.schema == "cloud" else self._validate()

    def deliver(self, *events: Event) -> bool:
        """As often as it takes, one request for all of them; False where they are dropped."""
        for count, pause in enumerate(PAUSES):
            self.sleep(pause)
            status = self.post(self.write(*events), count)
            if 200 <= status <= 204:
                return True
            if status in NEVER_AGAIN:
                break
        self.dropped += events
        return False

    def write(self, *events: Event) -> bytes:
        """The body of a request."""
        if self.schema == "grid":
            return json.dumps(list(events)).encode()
        written = [as_cloud_event(each) for each in events]
        return json.dumps(written[0] if len(written) == 1 else written).encode()

    def post(self, body: bytes, count: int = 0) -> int:
        """One try; 0 where nothing was answered in time."""
        is_batch = body.startswith(b"[")
        cloud = "application/cloudevents-batch+json" if is_batch else "application/cloudevents+json"
        headers = {
            "Content-Type": f"{'application/json' if self.schema == 'grid' else cloud}; charset=utf-8",
            "aeg-event-type": "Notification",
            "aeg-subscription-name": "PLATFORM",
            "aeg-delivery-count": str(count),
            "aeg-data-version": "",
        }
        try:
            reply = httpx.post(
                self.url, content=body, headers=headers | self.headers, timeout=PATIENCE_SECONDS, verify=PLAIN
            )
        except httpx.TransportError:
            self.statuses.append(0)
            return 0
        self.statuses.append(reply.status_code)
        return reply.status_code

    def _validate(self) -> bool:
        code = str(uuid.uuid4()).upper()
        data = {
            "validationCode": code,
            "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/validate",
        }
        event = make_event("", "", data) | {
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "subject": "",
        }
        headers = {"aeg-event-type": "SubscriptionValidation", "Content-Type": "application/json"}
        reply = httpx.post(
            self.url, json=[event], headers=headers | self.headers, timeout=PATIENCE_SECONDS, verify=PLAIN
        )
        self.statuses.append(reply.status_code)
        return reply.status_code == 200 and reply.json() == {"validationResponse": code}

    def _greet(self) -> bool:
        """Without headers of the subscription's own: a preflight carries no secret."""
        headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
        reply = httpx.options(self.url, headers=headers, timeout=PATIENCE_SECONDS, verify=PLAIN)
        self.statuses.append(reply.status_code)
        allowed = reply.headers.get("WebHook-Allowed-Origin")
        return reply.status_code == 200 and allowed == "eventgrid.azure.net"
