"""Callbacks: what services that tell people say of messages, and people answer; noted, then answered in their words."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from shared.messages.receive_store import PATIENCE_SECONDS, Post, store_posts
from shared.messages.store import keep_trying
from shared.provider import Acknowledged, CallbackReceiver, PushedRequest
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.web.text_reply import TextReply


def take_callback(provider: CallbackReceiver, request: PushedRequest) -> TextReply:
    """Store and note what a proven request says. Errors: BadRequest, Unavailable; then it may be sent again."""
    heard, integration_id = provider.callback(request), provider.identity.integration_id
    if heard.messages:
        (stored,) = store_posts([Post(integration_id, heard.messages, len(request.body))])
        if isinstance(stored, Exception):
            raise stored
    said: dict[str, Any] = {
        name: [asdict(each) for each in getattr(heard, name)]
        for name in ("reports", "opt_outs", "acknowledgements")
        if getattr(heard, name)
    }
    told: list[Acknowledged | None] = []
    if said:
        call = partial(as_service().call, "take_callback", p_integration_id=integration_id, p_heard=said)
        told = keep_trying(call, Deadline(PATIENCE_SECONDS))
    return provider.answer(request, told)
