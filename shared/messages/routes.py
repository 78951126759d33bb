"""What is pushed to an integration, and decoding again what could not be decoded."""

from __future__ import annotations

from http import HTTPStatus

from shared.integrations.remote_calls import USING
from shared.messages.bodies import Receipt, ReplayedCounts, ReplayedMessages, Words
from shared.messages.receive import receive_messages as receive
from shared.messages.replay import replay_messages as replay
from shared.runtime.errors import RateLimited, TooLarge
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import WRITES
from shared.runtime.web.routes import Routes
from shared.runtime.web.streamed import TooSlow
from shared.runtime.web.text_reply import TextReply

PUSHED: dict[str, object] = {
    "public": True,
    "proofs": ("webhook_secret",),
    "status": HTTPStatus.ACCEPTED,
    "reads": ("application/json", "application/cloudevents+json", "application/octet-stream"),
    "problems": (RateLimited, TooLarge, TooSlow),
}

routes = Routes()
receivers = Routes(Words)
golioth_receivers = Routes()


@receivers.post("/{id}", **PUSHED)
async def receive_messages(call: Call) -> Receipt | TextReply:
    """Store what is pushed to an integration.

    The body is of any type. What can't be proven, for whatever reason, is answered with the same 401.
    Send again what is answered 429 or 503: it is stored once.
    """
    return await receive(call)


@receivers.post("/{id}/{rest}", **PUSHED)
async def receive_messages_below(call: Call) -> Receipt | TextReply:
    """Store what is pushed below an integration's address, whose type reads the rest of it; see receiveMessages."""
    return await receive(call)


@golioth_receivers.post("/{id}", **PUSHED)
async def receive_golioth_events(call: Call) -> Receipt | TextReply:
    """Store what a Golioth pipeline pushes; see receiveMessages."""
    return await receive(call, "golioth")


@routes.post("/{id}/messages/replay", budget=WRITES, problems=USING)
def replay_messages(call: Call, body: ReplayedMessages | None) -> ReplayedCounts:
    """Decode again what could not be decoded, the oldest first, by today's config.

    What still fails stays as it is. The others keep the time they were received at, and are counted and delivered like
    any other from then on.
    """
    return replay(call, body or ReplayedMessages())
