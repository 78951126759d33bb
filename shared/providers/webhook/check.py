"""Check: a test event sent, what was sent and what the endpoint answered; secrets masked."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.provider import (
    Check,
    CodecFailed,
    Event,
    EventDevice,
    Identity,
    OutboundReply,
    OutboundRequest,
    OutsideError,
    replace_nul,
    run_check,
    send_once,
)

if TYPE_CHECKING:
    from shared.providers.webhook import Webhook

CHECK_SECONDS = 9.0
EXCERPT = 2_000
"""Characters of a body that are shown."""


def check_endpoint(webhook: Webhook) -> Iterator[Check]:
    """Send an `integration.test` event: what is sent, then what the endpoint answers."""
    (event,) = webhook.encode_events([make_test_event(webhook.identity)])
    if isinstance(event, CodecFailed):
        yield Check("transform", ok=False, detail=event.detail, ms=0)
        return
    request = webhook.deliver(event)
    request = replace(request, timeout_seconds=min(request.timeout_seconds, CHECK_SECONDS))
    yield run_check("request", lambda: _show_request(webhook, request))
    yield run_check("answer", lambda: _show_reply(webhook, send_once(request)))


def make_test_event(identity: Identity) -> Event:
    """An event of no device that exists."""
    return Event(
        id=str(uuid.uuid4()),
        type="integration.test",
        kind="event",
        at=datetime.now(UTC).isoformat(),
        organization_id=identity.organization_id,
        integration=identity,
        device=EventDevice(id=str(uuid.UUID(int=0)), external_id="test-device", name="Test device"),
        topic="test",
        payload={"message": "A test of this webhook."},
    )


def _show_request(webhook: Webhook, request: OutboundRequest) -> str:
    url, query, _ = (webhook.url or f"{webhook.url_origin}/***").partition("?")
    lines = [
        f"{request.method} {url}{query and '?…'}",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    body = webhook.mask_text((request.body or b"").decode())
    return "\n".join([webhook.mask_text("\n".join(lines)), "", _cut_text(body)])


def _show_reply(webhook: Webhook, reply: OutboundReply) -> str:
    text = replace_nul(reply.body.decode(errors="replace"))
    body = _cut_text(webhook.mask_text(text, cut=reply.truncated))
    shown = f"{reply.status} after {reply.milliseconds:.0f} ms\n{body}".strip()
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return shown
    hint = " Redirects are not followed: set url to where it leads." if reply.status // 100 == 3 else ""  # noqa: PLR2004 - 3xx
    raise OutsideError(f"Expected a 2xx answer.{hint} Got {shown}")


def _cut_text(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
