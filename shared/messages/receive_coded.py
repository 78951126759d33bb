"""Pushed requests that a codec decodes or that take long to read: each in a thread of its own, in nobody's way.

An organization has only so many of them under way in a process, whatever they hold: who sends more is asked to send
again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from shared.messages.bodies import Receipt
from shared.messages.callbacks import take_callback
from shared.messages.receive_store import PATIENCE_SECONDS, Post, choose_reply, store_posts
from shared.messages.store import keep_trying
from shared.messages.traces import add_trace
from shared.provider import CallbackReceiver, Message, PushedRequest, Receiver
from shared.runtime.batching import Batcher
from shared.runtime.deadline import Deadline
from shared.runtime.errors import RateLimited, Unavailable
from shared.runtime.web.text_reply import TextReply

MOST_OF_ONE = 3
"""Of an organization, and as many that ask the other side back; a server process has more threads than that."""

BATCH_BYTES = 4 * 1_048_576


@dataclass(frozen=True, slots=True)
class Proven:
    """A request that has proven who sends it and is still to be parsed."""

    provider: Receiver | CallbackReceiver
    request: PushedRequest


def receive_proven(proven: Proven, trace: str | None) -> Receipt | TextReply:
    """Decode and store. Errors: RateLimited, Unavailable where no decoder gets free; nothing is stored then."""
    provider, identity = proven.provider, proven.provider.identity
    if isinstance(provider, CallbackReceiver):
        return take_callback(provider, proven.request)
    messages = _read_messages(provider, proven.request)
    size = len(proven.request.body)
    answer = partial(provider.answer_push, proven.request)
    post = Post(identity.integration_id, add_trace(messages, trace), size, answer)
    stored = keep_trying(
        lambda: _posts.submit(post, size, identity.integration_id), Deadline(PATIENCE_SECONDS)
    )
    return choose_reply(post, stored)


def _read_messages(provider: Receiver, request: PushedRequest) -> list[Message]:
    try:
        # What has no proof but that an admin waits takes places of its own: it is in no decoding's way.
        kind = "asking" if provider.asks_back(request) else "decoding"
        with _take_place(f"{kind} {provider.identity.organization_id}"):
            return provider.receive(request)
    except (RateLimited, Unavailable):
        provider.verify(request)
        if (kept := provider.parse_undecoded(provider.keep_proven(request))) is None:
            raise
        return kept


@contextmanager
def _take_place(owner: str) -> Iterator[None]:
    with _lock:
        if _held[owner] >= MOST_OF_ONE:
            raise RateLimited(
                "Too many bodies of this organization are being decoded; send it again.", retry_after=1
            )
        _held[owner] += 1
    try:
        yield
    finally:
        with _lock:
            _held[owner] -= 1
            if not _held[owner]:
                del _held[owner]


_held: Counter[str] = Counter()
_lock = threading.Lock()
_posts: Batcher[Post, Receipt] = Batcher(store_posts, BATCH_BYTES)
