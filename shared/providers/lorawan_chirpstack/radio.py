"""What ChirpStack tells of a device, its radio and its battery."""

from __future__ import annotations

from shared.provider import (
    LONGEST_TEXT,
    Item,
    Reception,
    describe_gateways,
    describe_modulation,
    list_gateways,
)

CODING = "CR_"
MOST_TAGS = 50
"""Tags that are kept with a message, the first by their names; `raw` has all."""


def describe_device(device: Item) -> dict[str, object]:
    """Whose event it is; what is not known is left out."""
    eui = device.text("devEui")
    told = {
        "dev_eui": eui and eui.upper(),
        "device_name": device.text("deviceName"),
        "device_profile": device.text("deviceProfileName"),
        "tags": _read_tags(device.item("tags")) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def describe_radio(uplink: Item) -> dict[str, object]:
    """How it was sent and heard."""
    sent = uplink.item("txInfo")
    lora = sent.item("modulation").item("lora")
    coding = lora.text("codeRate")
    told = {
        "f_port": uplink.count("fPort"),
        "f_cnt": uplink.count("fCnt") or 0,
        "confirmed": uplink.fields.get("confirmed") is True,
        "frequency": sent.number("frequency"),
        "dr": uplink.count("dr") or 0,
    }
    known = {name: value for name, value in told.items() if value is not None}
    shown = coding and coding.removeprefix(CODING).replace("_", "/")
    return (
        known
        | describe_modulation(lora, "spreadingFactor", shown)
        | describe_gateways(_list_receptions(uplink))
    )


def list_facts(event: Item) -> dict[str, object]:
    """What is kept of the device: its battery and margin of a status, the gateways that have heard an uplink."""
    gateways = list_gateways(_list_receptions(event))
    if gateways:
        return {"gateways": gateways}
    if not {"margin", "batteryLevel", "externalPowerSource", "batteryLevelUnavailable"} & event.fields.keys():
        return {}
    is_external = event.fields.get("externalPowerSource") is True
    is_unknown = is_external or event.fields.get("batteryLevelUnavailable") is True
    return {
        "margin": event.number("margin") or 0,
        "external_power": is_external,
        "battery": None if is_unknown else event.number("batteryLevel") or 0,
    }


def _read_tags(tags: Item) -> dict[str, str]:
    return {name[:LONGEST_TEXT]: tags.text(name) or "" for name in sorted(tags.fields)[:MOST_TAGS]}


def _list_receptions(event: Item) -> list[Reception]:
    return [
        Reception(gateway, each.number("rssi"), each.number("snr") if "snr" in each.fields else 0)
        for each in event.items("rxInfo")
        if (gateway := each.text("gatewayId"))
    ]
