"""Storing what proven requests brought: in one call what comes at the same time, each told what became of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from shared.messages import clock
from shared.messages.bodies import Receipt
from shared.messages.store import Store, keep_trying, read_columns
from shared.provider import Message
from shared.runtime.database.client import Refusal, as_service, make_problem
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Problem
from shared.runtime.log import get_log
from shared.runtime.web.text_reply import TextReply

PATIENCE_SECONDS = 3.0
"""How long a request waits for a database that is away: not every sender tries again."""


@dataclass(frozen=True, slots=True)
class Post:
    """What one proven request brought."""

    integration_id: str
    messages: Sequence[Message]
    size: int
    """Of its body, in bytes."""
    answer: Callable[[Receipt], TextReply | None] | None = None
    """What is answered once it is stored, where that is not the receipt."""


class StoredPosts(TypedDict, total=False):
    """What `receive_messages` answers of an integration: the problem that kept all out, or where duplicates are."""

    problem: Refusal
    repeated: list[int]
    """Their places among the messages of all posts, from 1."""


class PostGroup(TypedDict):
    """The posts of one integration, as `receive_messages` takes them."""

    integration_id: str
    messages: Mapping[str, Sequence[object]]
    """By column, see `read_columns`."""
    requests: int
    bytes: int


def choose_reply(post: Post, stored: Receipt) -> Receipt | TextReply:
    """What is answered to a request that brought the post."""
    if post.answer is None:
        return stored
    try:
        return post.answer(stored) or stored
    except Exception:  # noqa: BLE001 - it is stored, and one answer's defect must not end the others of the batch
        get_log().exception("an answer could not be made", integration=post.integration_id)
        return stored


def store_posts(posts: Sequence[Post]) -> list[Receipt | Exception]:
    """Store the messages of `posts`, once each; of each post its counts, or the Problem that kept it out.

    Errors: Unavailable; then nothing is known to be stored.
    """
    if not posts:
        return []
    groups: dict[str, list[Post]] = {}
    for post in posts:
        groups.setdefault(post.integration_id, []).append(post)
    described = [_describe_group(name, group) for name, group in groups.items()]
    call = partial(as_service().call, "receive_messages", p_posts=described)
    try:
        told: dict[str, StoredPosts] = keep_trying(call, Deadline(PATIENCE_SECONDS))
    except (BadRequest, TypeError) as refusal:
        # What JSON can't hold, or can't even be read by the database, such as a NUL, is refused to all of a call.
        problem = refusal if isinstance(refusal, BadRequest) else BadRequest("It can't be written as JSON.")
        return [_store_alone(post, problem) for post in posts]
    for name, group in groups.items():
        _note_clocks(name, group)
    shares = {name: iter(_share_out(group, told[name])) for name, group in groups.items()}
    return [next(shares[post.integration_id]) for post in posts]


def _describe_group(integration_id: str, posts: Sequence[Post]) -> PostGroup:
    return {
        "integration_id": integration_id,
        "messages": read_columns(_list_messages(posts)),
        "requests": len(posts),
        "bytes": sum(post.size for post in posts),
    }


def _list_messages(posts: Sequence[Post]) -> list[Message]:
    return [message for post in posts for message in post.messages]


def _note_clocks(integration_id: str, posts: Sequence[Post]) -> None:
    """Say that devices send times that can't be; what keeps that from being said keeps nothing else."""
    notes = clock.watch.find_notes(integration_id, _list_messages(posts))
    if notes:
        names = {"p_integration_id": integration_id, "p_kind": "receive"}
        try:
            as_service().call("record_activity", **names, p_notes=notes)
        except Problem as problem:
            told = {"integration": integration_id, "code": problem.code, "detail": problem.detail}
            get_log().warning("a clock could not be noted", **told)


def _share_out(posts: Sequence[Post], told: StoredPosts) -> list[Receipt | Exception]:
    """Each post's share of what was told of their integration."""
    if "problem" in told:
        return [_store_alone(post, make_problem(told["problem"])) for post in posts]
    shares: list[Receipt | Exception] = []
    repeated, place = set(told["repeated"]), 0
    for post in posts:
        fresh = [message for number, message in enumerate(post.messages, place + 1) if number not in repeated]
        place += len(post.messages)
        shares.append(_count_messages(post, fresh))
    return shares


def _count_messages(post: Post, fresh: Sequence[Message]) -> Receipt:
    received, failed = len(post.messages), sum(message.error is not None for message in fresh)
    return {
        "received": received,
        "stored": len(fresh) - failed,
        "duplicates": received - len(fresh),
        "failed": failed,
    }


def _store_alone(post: Post, problem: Problem) -> Receipt | Exception:
    """Where a message has what the database refuses, each post by itself; any other problem is every post's."""
    if not isinstance(problem, BadRequest):
        return problem
    store = Store(as_service(), post.integration_id)
    try:
        counts = store.store_batch(post.messages, None, Deadline(PATIENCE_SECONDS), post.size)
    except Problem as own:
        return own
    except Exception:  # noqa: BLE001 - one post's defect must not end the others of the batch
        get_log().exception("a pushed request could not be stored", integration=post.integration_id)
        return Problem()
    return {
        "received": counts["received"],
        "stored": counts["stored"],
        "duplicates": counts["duplicates"],
        "failed": counts["failed"],
    }
