"""Deliver: what of an event goes out, as a template names it and as it is sent without one."""

from __future__ import annotations

from typing import TypedDict

from shared.provider import Event
from shared.providers.webhook.template import Template, dump_json, render_template


class _About(TypedDict):
    id: str
    type: str
    kind: str
    at: str
    topic: str | None


class _Device(TypedDict):
    id: str | None
    external_id: str
    name: str | None


class _Integration(TypedDict):
    id: str
    name: str
    type: str


class Context(TypedDict):
    """What the paths of a template may name; see `CONTEXT` in template.py."""

    event: _About
    device: _Device | None
    payload: object
    integration: _Integration
    organization_id: str


def make_body(event: Event, template: Template) -> bytes:
    """The body for `event`; TooLarge where it renders to too much."""
    context = describe_event(event)
    return render_template(template, context) if template else _make_plain(context)


def describe_event(event: Event) -> Context:
    """`event` by the names of templates."""
    device, source = event.device, event.integration
    return {
        "event": {
            "id": event.id,
            "type": event.type,
            "kind": event.kind,
            "at": event.at,
            "topic": event.topic,
        },
        "device": {"id": device.id, "external_id": device.external_id, "name": device.name}
        if device
        else None,
        "payload": event.payload,
        "integration": {"id": source.integration_id, "name": source.name, "type": source.integration_type},
        "organization_id": event.organization_id,
    }


def _make_plain(context: Context) -> bytes:
    event = context["event"]
    data = {
        "kind": event["kind"],
        "topic": event["topic"],
        "device": context["device"],
        "payload": context["payload"],
        "integration": context["integration"],
        "organization_id": context["organization_id"],
    }
    return dump_json({"type": event["type"], "timestamp": event["at"], "data": data})
