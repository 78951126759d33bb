"""A rule's HTTPS action as AWS carries it out: the destination first, then one message or several, two more tries."""

from __future__ import annotations

import base64
import http.client
import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

MOST_REPLY = 16_384
TRIES = 3


def select_bytes(topic: str, payload: bytes, client_id: str, ts: int, message_id: str = "") -> dict[str, Any]:
    """What the rule of docs/aws-iot.md selects of a message."""
    return {
        "payload_base64": base64.b64encode(payload).decode(),
        "topic": topic,
        "clientid": client_id,
        "ts": ts,
        "id": message_id or str(uuid.uuid4()),
    }


def select_all(topic: str, payload: dict[str, Any], client_id: str, ts: int) -> dict[str, Any]:
    """What `SELECT *, topic() AS topic, …` selects."""
    return payload | {"topic": topic, "clientid": client_id, "ts": ts, "id": str(uuid.uuid4())}


def tell_lost(topic: str, payload: bytes, client_id: str) -> dict[str, Any]:
    """What an error action gets of a message: as it was published, whatever the rule selected of it."""
    return {
        "ruleName": "telemetry",
        "topic": topic,
        "cloudwatchTraceId": str(uuid.uuid4()),
        "clientId": client_id,
        "base64OriginalPayload": base64.b64encode(payload).decode(),
        "failures": [{"failedAction": "HttpAction", "failedResource": "https://x", "errorMessage": "503"}],
    }


@dataclass
class RuleSender:
    """One destination and the rules that post there. `tries` counts requests, `lost` what was given up."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    tries: int = 0
    lost: int = 0

    def ask_confirmation(self, token: str, enable_url: str, arn: str, *, slash: bool = True) -> int:
        """The status of what AWS is answered that asks whether the address is the account's."""
        address = f"{self.url}{'/' if slash else ''}?confirmationToken={quote(token)}"
        body = {
            "arn": arn,
            "confirmationToken": token,
            "enableUrl": enable_url,
            "messageType": "DestinationConfirmation",
        }
        headers = {
            "Content-Type": "application/json",
            "x-amz-rules-engine-message-type": "DestinationConfirmation",
            "x-amz-rules-engine-destination-arn": arn,
        }
        status, _, _ = self._post(address, headers, json.dumps(body).encode())
        return status

    def send(self, message: dict[str, Any]) -> int:
        """One message; the last status."""
        return self._deliver(json.dumps(message).encode())

    def send_batch(self, messages: list[dict[str, Any]]) -> int:
        """Several as one JSON array."""
        return self._deliver(json.dumps(messages).encode())

    def send_bytes(self, body: bytes) -> int:
        """What a rule selects that is no JSON."""
        return self._deliver(body, "application/octet-stream")

    def _deliver(self, body: bytes, media_type: str = "application/json") -> int:
        headers = {"Content-Type": media_type, **self.headers}
        for _ in range(TRIES):
            self.tries += 1
            status, size, is_closed = self._post(self.url, headers, body)
            if status != 429 and status < 500:
                break
            if size > MOST_REPLY or is_closed:
                break
        self.lost += status >= 400
        return status

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, int, bool]:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            connection.request(
                "POST", f"{parts.path}?{parts.query}" if parts.query else parts.path, body, headers
            )
            reply = connection.getresponse()
            return reply.status, len(reply.read()), reply.will_close
        finally:
            connection.close()
