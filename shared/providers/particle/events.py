"""The events in Particle's webhooks: by the base64 template, as Particle sends them itself, or in a JSON of one's own.

Source: Particle's documentation of webhooks and of firmware update events. What a template leaves out is absent, and so
is a placeholder that nothing has filled in. Only what is in the body counts, for a signature covers no more.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from shared.provider import Item, PushedRequest, read_document, replace_nul

MOST_FIELDS = 100
NAME_LIMIT, ID_LIMIT = 512, 200
NO_DEVICES = frozenset(("api", "particle-internal"))
"""Who publishes in the name of the cloud."""

WHOLE = "event_b64"
MENDED = "What brought it was not quite JSON, and was mended."
"""The remark on its event, whose raw is what the device published."""

NOT_AN_EVENT = (
    "Not an event of Particle's, which has event (or name), data, coreid and published_at; docs/particle.md has the "
    "template for the webhook."
)


@dataclass(frozen=True, slots=True)
class ParticleEvent:
    """One event; texts are None where absent. `data` is what the device published, most often a text.

    `id` is Particle's own, or one of each post where there is no `published_at` either.
    """

    name: str
    data: object
    device: str | None = None
    published_at: str | None = None
    id: str | None = None
    product: str | None = None
    firmware_version: str | None = None
    remark: str | None = None

    @property
    def event_id(self) -> str:
        """Its id, else one made of what it says: the same however often it is sent."""
        if self.id:
            return self.id
        parts = (self.device, self.name, self.published_at, self.data)
        return hashlib.sha256(repr(parts).encode(errors="backslashreplace")).hexdigest()


def read_event(request: PushedRequest) -> ParticleEvent | str:
    """The event in a body, or why there is none."""
    fields, remark, error = _read_fields(request)
    if error:
        return error
    whole = Item(fields)
    inner = whole
    if WHOLE in whole.fields:
        found = _open_whole(whole.fields[WHOLE])
        if isinstance(found, str):
            return found
        inner = found
    name = _read_text(inner, "event") or _read_text(inner, "name")
    if not name or not (_read_text(inner, "coreid") or _read_text(inner, "published_at")):
        return NOT_AN_EVENT
    return _make_event(name, whole, inner, remark)


def _make_event(name: str, whole: Item, inner: Item, remark: str | None) -> ParticleEvent:
    def read(*names: str) -> str | None:
        told = (_read_text(each, name, whole_too=True) for name in names for each in (whole, inner))
        return next((text for text in told if text), None)

    device, event_id = _read_text(inner, "coreid"), read("id", "event_id")
    published_at = _read_text(inner, "published_at")
    # A device's id, which a template may have put there, tells none of its events from another.
    is_own = event_id is not None and event_id != device and len(event_id) <= ID_LIMIT
    # Without a time nothing does, so that each is one of its own.
    made = None if published_at else uuid.uuid4().hex
    return ParticleEvent(
        name=name,
        data=inner.fields.get("data"),
        device=None if device in NO_DEVICES else device,
        published_at=published_at,
        id=event_id if is_own else made,
        product=read("product_id", "productID"),
        firmware_version=read("fw_version", "version"),
        remark=remark,
    )


def _read_fields(request: PushedRequest) -> tuple[Mapping[str, object], str | None, str | None]:
    """The object in a body: of JSON, else of a form, whatever it says that it is."""
    document, remark, error = read_document(request.body)
    if isinstance(document, dict):
        return document, MENDED if remark else None, None
    form = _read_form(request.body)
    if {"event", "name"} & form.keys():
        return form, None, None
    return {}, None, error or NOT_AN_EVENT


def _read_form(body: bytes) -> dict[str, object]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}
    return dict(pairs)


def _open_whole(encoded: object) -> Item | str:
    try:
        body = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except ValueError:
        return f"{WHOLE} is not base64; see docs/particle.md for the template."
    document, _, error = read_document(body)
    if error or not isinstance(document, dict):
        return f"{WHOLE} holds no event: {error or 'it is no JSON object.'}"
    return Item(document)


def _read_text(item: Item, name: str, *, whole_too: bool = False) -> str | None:
    """A text, or a whole number too, without spaces around it; a placeholder that was not filled in is none."""
    value = item.fields.get(name)
    text = str(value) if whole_too and type(value) is int else value
    if not isinstance(text, str) or text.startswith("{{"):
        return None
    return replace_nul(text).strip()[:NAME_LIMIT] or None
