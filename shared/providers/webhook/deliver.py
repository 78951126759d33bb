"""Deliver: what of an event goes out, as a template names it and as it is sent without one."""

from __future__ import annotations

from shared.provider import Event
from shared.providers.webhook.template import Template, dump_json, render_template

ALERT = "alert"
"""The kind of the events that tell of alerts: they are of no device, and their payload says all there is."""


def make_body(event: Event, template: Template) -> bytes:
    """The body for `event`; TooLarge where it renders to too much."""
    about = {"id": event.id, "type": event.type, "kind": event.kind, "at": event.at, "topic": event.topic}
    device, source = event.device, event.integration
    data = {
        "device": device and {"id": device.id, "external_id": device.external_id, "name": device.name},
        "payload": event.payload,
        "integration": {"id": source.integration_id, "name": source.name, "type": source.integration_type},
        "organization_id": event.organization_id,
    }
    if template:
        return render_template(template, {"event": about, **data})
    if event.kind == ALERT:
        return dump_json({"type": event.type, "timestamp": event.at, "data": event.payload})
    data = {"kind": event.kind, "topic": event.topic, **data}
    return dump_json({"type": event.type, "timestamp": event.at, "data": data})
