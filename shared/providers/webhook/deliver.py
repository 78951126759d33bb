"""Deliver: what of an event goes out, as a template names it and as it is sent without one."""

from __future__ import annotations

from shared.provider import Event, describe_event
from shared.providers.webhook.template import Template, dump_json, render_template


def make_body(event: Event, template: Template) -> bytes:
    """The body for `event`; TooLarge where it renders to too much."""
    if event.encoded:
        return event.encoded.body
    told = describe_event(event)
    if not template:
        return dump_json({name: value for name, value in told.items() if name != "id"})
    about = {"id": event.id, "type": event.type, "kind": event.kind, "at": event.at, "topic": event.topic}
    device, source = event.device, event.integration
    data = {
        "device": device and {"id": device.id, "external_id": device.external_id, "name": device.name},
        "payload": event.payload,
        "integration": {"id": source.integration_id, "name": source.name, "type": source.integration_type},
        "organization_id": event.organization_id,
    }
    return render_template(template, {"event": about, **data})
