"""The radio facts of an uplink, and those that are kept of its device."""

from __future__ import annotations

from shared.provider import Item, Reception, describe_gateways, describe_modulation, list_gateways


def describe_radio(uplink: Item) -> dict[str, object]:
    """How it was sent and heard; what is not known is left out."""
    settings = uplink.item("settings")
    lora = settings.item("data_rate").item("lora")
    coding = lora.text("coding_rate") or settings.text("coding_rate")
    told = {
        "f_port": uplink.count("f_port"),
        "f_cnt": uplink.count("f_cnt") or 0,
        "confirmed": uplink.fields.get("confirmed") is True,
        "frequency": settings.number("frequency"),
        "airtime_ms": _read_milliseconds(uplink.text("consumed_airtime")),
        "packet_error_rate": uplink.number("packet_error_rate"),
    }
    known = {name: value for name, value in told.items() if value is not None}
    return known | describe_modulation(lora, "spreading_factor", coding) | describe_gateways(_list(uplink))


def list_facts(uplink: Item, ids: Item) -> dict[str, object]:
    """What is kept of the device."""
    battery = uplink.item("last_battery_percentage")
    eui = ids.text("dev_eui")
    told = {
        "dev_eui": eui and eui.upper(),
        "battery": battery.number("value"),
        "gateways": list_gateways(_list(uplink)) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _list(uplink: Item) -> list[Reception]:
    found = []
    for each in uplink.items("rx_metadata"):
        gateway = each.item("gateway_ids").text("gateway_id") or each.item("gateway_ids").text("eui")
        rssi = each.number("rssi")
        # A zero is left out.
        snr = each.number("snr") if "snr" in each.fields or rssi is None else 0
        if gateway:
            found.append(Reception(gateway, rssi, snr))
    return found


def _read_milliseconds(text: str | None) -> float | None:
    """`0.051456s` as 51.456."""
    number = Item({"value": (text or "").removesuffix("s")}).number("value")
    return None if number is None else round(number * 1_000, 3)
