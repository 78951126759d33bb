"""Publish: posts to an incoming webhook; with a bot's token posts, updates, and looks whether a post is there."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson

from shared.provider import (
    Access,
    AccountRefused,
    CredentialsRefused,
    Deadline,
    Event,
    JsonApi,
    OutboundRequest,
    OutsideError,
    ProviderRefused,
    RecipientRefused,
    Wording,
    send_once,
)
from shared.providers.slack.blocks import make_message

POST_SECONDS = 10.0
MARK = "device_integrations"
SKEW_SECONDS = 60
"""How much earlier than by our clock a message may be by theirs."""

LOOKED_AT = 200
"""Messages of a channel that are looked through for one of ours."""

_ACCOUNT = {
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"),
    *("org_login_required", "ekm_access_denied", "no_permission", "not_allowed_token_type"),
}
_CHANNEL = {
    "channel_not_found": "There is no such channel, or the bot can't see it: see the channel's id, and invite the bot.",
    "not_in_channel": "The bot is not in the channel: invite it there.",
    "is_archived": "The channel is archived: choose another.",
    "user_not_found": "There is no such user: see the id.",
    "restricted_action": "The workspace does not let the bot post there: ask an admin of it.",
}
_LATER = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
}


def post_to_webhook(url: str, place: str | None, wording: Wording, deadline: Deadline) -> None:
    """Post once. Whether a post that was not answered is there can't be found out."""
    message = make_message(wording) | ({"channel": place} if place else {})
    headers = {"Content-Type": "application/json"}
    seconds = max(0.1, min(POST_SECONDS, deadline.remaining()))
    reply = send_once(OutboundRequest("POST", url, headers, orjson.dumps(message), seconds))
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if reply.status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        raise AccountRefused(
            f"Slack does not know the incoming webhook, or its channel is archived ({reply.status}): make another."
        )
    raise ProviderRefused(
        f"Slack answered {reply.status}.", answered=reply.status, retry_after=reply.retry_after
    )


def post_message(access: Access, channel: str, event: Event, wording: Wording, deadline: Deadline) -> str:
    """Post, or update the post of the same alert; `channel/ts` of it."""
    message, notice = make_message(wording), event.notice
    with JsonApi(access, deadline.within(POST_SECONDS)) as api:
        earlier = notice.earlier if notice and wording.is_over and not notice.count else None
        if earlier and _update(api, earlier, message):
            return earlier
        if notice and notice.is_repeat and (found := _find_post(api, channel, event.id, notice.tried_at)):
            return found
        mark = {"event_type": MARK, "event_payload": {"id": event.id}}
        said = _call(api, "/chat.postMessage", message | {"channel": channel, "metadata": mark})
        return f"{said.get('channel')}/{said.get('ts')}"


def _update(api: JsonApi, reference: str, message: dict[str, Any]) -> bool:
    """Whether the post is there still and could be updated."""
    channel, _, stamp = reference.partition("/")
    said = _ask(api, "POST", "/chat.update", message | {"channel": channel, "ts": stamp})
    if said.get("ok") is not True and str(said.get("error")) in _LATER | _ACCOUNT:
        raise _judge(str(said.get("error")))
    return said.get("ok") is True


def _find_post(api: JsonApi, channel: str, event_id: str, tried_at: str) -> str | None:
    """Our post of this event, where the bot may read the channel and it is there; None else."""
    oldest = datetime.fromisoformat(tried_at).timestamp() - SKEW_SECONDS
    query = {
        "channel": channel,
        "oldest": f"{oldest:.6f}",
        "limit": LOOKED_AT,
        "include_all_metadata": "true",
    }
    said = _ask(api, "GET", "/conversations.history", query=query)
    posts = said.get("messages") if said.get("ok") is True else None
    for post in posts if isinstance(posts, list) else ():
        if _is_ours(post, event_id):
            return f"{channel}/{post.get('ts')}"
    return None


def _is_ours(post: Any, event_id: str) -> bool:
    mark = post.get("metadata") if isinstance(post, dict) else None
    payload = mark.get("event_payload") if isinstance(mark, dict) else None
    return isinstance(payload, dict) and payload.get("id") == event_id


def _call(api: JsonApi, path: str, body: object) -> dict[str, Any]:
    said = _ask(api, "POST", path, body)
    if said.get("ok") is not True:
        raise _judge(str(said.get("error")))
    return said


def _ask(
    api: JsonApi, method: str, path: str, body: object = None, *, query: dict[str, object] | None = None
) -> dict[str, Any]:
    try:
        said = api.call(method, path, body, query=query, again=method == "GET")
    except CredentialsRefused as refused:
        raise AccountRefused(refused.detail) from None
    return said if isinstance(said, dict) else {}


def _judge(error: str) -> OutsideError:
    """What Slack's word for an error means; words of its own are shown where they are plain."""
    if error in _ACCOUNT:
        return AccountRefused(f"Slack refused the bot's token ({error}): see its scopes, or enter another.")
    if error in _CHANNEL:
        return RecipientRefused(_CHANNEL[error])
    shown = error if error.replace("_", "").isalnum() and len(error) <= 60 else "something else"  # noqa: PLR2004 - a word
    passes = HTTPStatus.TOO_MANY_REQUESTS if error in _LATER else HTTPStatus.BAD_REQUEST
    return ProviderRefused(f"Slack refused the message: {shown}.", answered=passes)
