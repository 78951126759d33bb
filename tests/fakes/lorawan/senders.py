"""What The Things Stack and ChirpStack push: each event is tried once, for five seconds, as both do."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.plain import PLAIN

PATIENCE_SECONDS = 5.0
JSON = {"Content-Type": "application/json"}


STRUCTS = frozenset(("decoded_payload", "normalized_payload", "object"))
"""Of what a decoder has made, zeros stay."""


def drop_zeros(value: Any) -> Any:
    """As protobuf's JSON without its defaults."""
    if isinstance(value, dict):
        kept = {name: each if name in STRUCTS else drop_zeros(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in (0, "", False, None)}
    return [drop_zeros(each) for each in value] if isinstance(value, list) else value


def post_once(url: str, body: dict[str, Any], headers: dict[str, str]) -> int:
    """The status, 0 where there was none within five seconds; it is not tried again."""
    try:
        return httpx.post(
            url, content=json.dumps(body), headers=JSON | headers, timeout=PATIENCE_SECONDS, verify=PLAIN
        ).status_code
    except httpx.TransportError:
        return 0


@dataclass
class TtsEvents:
    """The messages of one application of The Things Stack."""

    application: str = "acme-sensors"
    session: str = field(default_factory=lambda: base64.b64encode(uuid.uuid4().bytes).decode())

    def wrap(self, device: str, key: str, about: dict[str, Any], **more: Any) -> dict[str, Any]:
        """One message: `about` below its key, beside the ids."""
        ids = {
            "device_id": device,
            "application_ids": {"application_id": self.application},
            "dev_eui": device.encode().hex().upper()[:16].ljust(16, "0"),
            "join_eui": "70B3D57ED0000000",
            "dev_addr": "260B1234",
        }
        return {
            "end_device_ids": ids,
            "correlation_ids": [f"gs:uplink:{uuid.uuid4().hex}"],
            "received_at": "2026-11-28T10:20:31.123456789Z",
            key: about,
        } | more

    def make_uplink(
        self, device: str, count: int, data: bytes, decoded: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """An uplink; a count of 0 is left out, as every zero."""
        uplink: dict[str, Any] = {
            "session_key_id": self.session,
            "f_port": 2,
            "f_cnt": count,
            "frm_payload": base64.b64encode(data).decode(),
            "decoded_payload": decoded,
            "rx_metadata": [
                {"gateway_ids": {"gateway_id": "gw-roof"}, "rssi": -35, "channel_rssi": -35, "snr": 9.5},
                {
                    "gateway_ids": {"gateway_id": "gw-yard"},
                    "time": "2026-11-28T10:20:30.5Z",
                    "rssi": -110,
                    "snr": -2.25,
                },
            ],
            "settings": {
                "data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7, "coding_rate": "4/5"}},
                "frequency": "868100000",
            },
            "received_at": "2026-11-28T10:20:30.912345678Z",
            "consumed_airtime": "0.051456s",
            "last_battery_percentage": {"f_cnt": 1, "value": 87.5, "received_at": "2026-11-28T09:00:00Z"},
            "version_ids": {"brand_id": "dragino", "model_id": "lht65"},
        }
        return drop_zeros(self.wrap(device, "uplink_message", uplink | more))  # type: ignore[no-any-return]

    def make_downlink(self, device: str, key: str, command: str | None = None, **more: Any) -> dict[str, Any]:
        """What became of a downlink, which was ours where `command` is its id."""
        ids = [f"as:downlink:{uuid.uuid4().hex}", *([f"cmd:{command}"] if command else [])]
        downlink = {
            "session_key_id": self.session,
            "f_port": 15,
            "f_cnt": 3,
            "frm_payload": "vu8=",
            "confirmed": True,
            "priority": "NORMAL",
            "correlation_ids": ids,
        }
        if key == "downlink_failed":
            error = {
                "namespace": "pkg/networkserver",
                "name": "application_downlink_too_long",
                "message_format": "application downlink payload length `{length}` exceeds maximum",
                "code": 3,
            }
            return self.wrap(device, key, {"downlink": downlink, "error": error})
        return self.wrap(device, key, downlink | more)


@dataclass
class ChirpstackEvents:
    """The events of one application of ChirpStack, with zeros or, as before 4.1, without."""

    application: str
    has_zeros: bool = True

    def wrap(self, device: str, **fields: Any) -> dict[str, Any]:
        """One event of a device, by its EUI."""
        info = {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "applicationId": self.application,
            "applicationName": "acme",
            "deviceProfileId": "14855bf7-d10d-4aee-b618-ebfcb64dc7ad",
            "deviceProfileName": "Rooms",
            "deviceName": f"room {device}",
            "devEui": device,
            "tags": {"floor": "2"},
        }
        event = {
            "deduplicationId": str(uuid.uuid4()),
            "time": "2026-11-28T10:20:30.123456789+00:00",
            "deviceInfo": info,
        } | fields
        return event if self.has_zeros else dict(drop_zeros(event))

    def make_uplink(
        self, device: str, count: int, data: bytes, decoded: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """An uplink that one gateway has heard."""
        lora = {"bandwidth": 125000, "spreadingFactor": 11, "codeRate": "CR_4_5"}
        return self.wrap(
            device,
            devAddr="00189440",
            adr=True,
            dr=0,
            fCnt=count,
            fPort=2,
            confirmed=False,
            data=base64.b64encode(data).decode(),
            object=decoded,
            rxInfo=[
                {"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "rssi": -36, "snr": 0.0},
                {"gatewayId": "0016c001f153a14d", "uplinkId": 4217106256, "rssi": -118, "snr": -14.5},
            ],
            txInfo={"frequency": 867100000, "modulation": {"lora": lora}},
            regionConfigId="eu868",
        )
