"""Deliver: what of an event goes out, as a template names it and as it is sent without one."""

from __future__ import annotations

from shared.provider import Event, Template, describe_event, dump_json, list_template_values, render_template


def make_body(event: Event, template: Template) -> bytes:
    """The body for `event`; TooLarge where it renders to too much."""
    if event.encoded:
        return event.encoded.body
    if not template:
        told = describe_event(event)
        del told["id"]  # webhook-id says it
        return dump_json(told)
    return render_template(template, list_template_values(event))
