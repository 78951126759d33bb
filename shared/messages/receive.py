"""What `/receive` and the receivers by name do: prove the request, then store what it says, in two database calls.

The two calls serve all requests that came while the ones before were under way, in a thread of their own; what takes
long, or has to wait for somebody else, such as a codec, has another. Whoever can't prove a request learns
nothing: an id that is unknown, inactive, of a type that is not pushed to or with a config that does not open takes the
same way, with a secret nobody knows, to the same 401; of the last, who proves it all the same may learn it (receivers).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from shared.messages.arrival import HEAVY, Arrival, weigh_request
from shared.messages.bodies import Receipt
from shared.messages.pushed import read_address, read_id, read_request
from shared.messages.receive_coded import Proven, receive_proven
from shared.messages.receive_owners import Owners, find_owners, read_token
from shared.messages.receive_store import PATIENCE_SECONDS, Post, choose_reply, store_posts
from shared.messages.receivers import Pushed, ReceiverRow, open_receiver, takes_pushes, tell_recovered
from shared.messages.refused_pushes import Refusals, Tries
from shared.messages.store import keep_trying, keep_waiting
from shared.messages.traces import add_trace
from shared.provider import CallbackReceiver, CodecFields, PushedRequest, Receiver, refuse_rpc
from shared.runtime.batching import AsyncBatcher
from shared.runtime.database.client import as_service
from shared.runtime.database.leases import Leases
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, NotFound, Problem, RateLimited, Unauthenticated
from shared.runtime.log import bind_log, get_log
from shared.runtime.web.aside import run_aside
from shared.runtime.web.call import Call
from shared.runtime.web.text_reply import TextReply

REFUSAL = "The address or the proof that goes with it is wrong; nothing was stored. See docs/api.md, Pushed messages."

TOO_MANY_TRIES = (
    "Too many requests that could not be proven; nothing was stored. See docs/api.md, Pushed messages."
)

BATCH_WEIGHT = 4 * 1_048_576
PLACES = 1_000
"""Requests that wait for the call before them."""

ORIGIN = "WebHook-Request-Origin"


@dataclass(frozen=True, slots=True)
class Greeting:
    """By which headers a proven sender is told that it may push."""

    headers: Mapping[str, str]


Received = Receipt | TextReply | Proven | Greeting


async def receive_messages(call: Call, integration_type: str | None = None) -> Receipt | TextReply:
    """Store what the request of a POST to `/{id}` says; only for integrations of that type, where one is given.

    Errors: TooLarge, TooSlow, Unauthenticated, RateLimited, Unavailable; nothing is stored then. RateLimited is also
    who was refused too often, but never a request that is proven.
    """
    request = read_request(call.environ, call.parameters, await call.load_body())
    try:
        received = await _receive(call, integration_type, request)
    except Problem as problem:
        reply = refuse_rpc(request.path, request.headers["content-type"], problem)
        if reply is None:
            raise
        call.headers |= problem.headers
        return reply
    return (
        {"received": 0, "stored": 0, "duplicates": 0, "failed": 0}
        if isinstance(received, Greeting)
        else received
    )


async def greet_sender(call: Call) -> Mapping[str, str]:
    """By which headers an OPTIONS of CloudEvents' handshake (WebHook-Request-Origin) is told that it may push.

    None for any other OPTIONS, and where the type of the integration knows none. Errors: as receive_messages.
    """
    if "id" not in call.parameters or ORIGIN not in call.request.headers:
        return {}
    pushed = replace(read_request(call.environ, call.parameters, b""), is_greeting=True)
    received = await _receive(call, None, pushed)
    return received.headers if isinstance(received, Greeting) else {}


async def _receive(
    call: Call, integration_type: str | None, request: PushedRequest
) -> Receipt | TextReply | Greeting:
    address, integration_id = read_address(call.environ), ""
    try:
        integration_id = read_id(call.parameters["id"])
        bind_log(integration=integration_id)
        weight = weigh_request(request)
        arrival = Arrival(integration_id, integration_type, request, weight, read_token(request), call.trace)
        owner = _tries.name_owner(integration_id, address, time.monotonic())
        # Again where a statement of its own organization was in the way: in a later batch, for the others have gone on.
        submit = partial(_arrivals.submit, arrival, weight, owner)
        received = await keep_waiting(submit, Deadline(PATIENCE_SECONDS))
        return (
            await run_aside(receive_proven, received, call.trace)
            if isinstance(received, Proven)
            else received
        )
    except (Unauthenticated, NotFound) as refusal:
        get_log().info("refused", reason=refusal.detail)
        if wait := _tries.add(integration_id, address, time.monotonic()):
            raise RateLimited(TOO_MANY_TRIES, retry_after=wait) from None
        raise Unauthenticated(REFUSAL) from None


def _receive_all(arrivals: Sequence[Arrival]) -> list[Received | Exception]:
    """What became of each request: its answer, the Problem it is answered with, or that it is proven and no more."""
    rows = _read_rows({arrival.integration_id for arrival in arrivals})
    owners = find_owners(
        (each.integration_id, each.token_hash) for each in arrivals if each.integration_id in rows
    )
    open_row = cache(lambda *named: open_receiver(rows.get(named[0]), named[1]))
    results: list[Proven | Greeting | Exception | Post] = [
        _read_alone(open_row, rows, _name_owner(arrival, owners)) for arrival in arrivals
    ]
    _count_refusals(rows, arrivals, results)
    _tell_recovered(rows, arrivals, results)
    stored = iter(store_posts([result for result in results if isinstance(result, Post)]))
    return [_choose_result(result, stored) for result in results]


def _choose_result(
    result: Proven | Greeting | Exception | Post, stored: Iterator[Receipt | Exception]
) -> Received | Exception:
    if not isinstance(result, Post):
        return result
    told = next(stored)
    return told if isinstance(told, Exception) else choose_reply(result, told)


def _name_owner(arrival: Arrival, owners: Owners) -> Arrival:
    device = owners.get((arrival.integration_id, arrival.token_hash or ""))
    return replace(arrival, request=replace(arrival.request, device=device)) if device else arrival


def _read_rows(integration_ids: set[str]) -> dict[str, ReceiverRow]:
    refused = _refusals.list_bursts()
    call = partial(as_service().lease, "receiver_configs", p_integration_ids=sorted(integration_ids))
    leases: Leases[ReceiverRow] = keep_trying(partial(call, p_refused=refused), Deadline(PATIENCE_SECONDS))
    _refusals.forget_bursts(refused)
    # One whose config can't be read is not there: whoever pushes to it learns nothing, and nobody else notices.
    return {row["id"]: row for row in leases.rows}


def _read_alone(
    open_row: Callable[[str, str | None], Pushed], rows: Mapping[str, ReceiverRow], arrival: Arrival
) -> Post | Proven | Greeting | Problem:
    try:
        provider = open_row(arrival.integration_id, arrival.integration_type)
        return _read_post(provider, rows.get(arrival.integration_id), arrival)
    except Exception:  # noqa: BLE001 - one request's defect must not end the others of the batch
        get_log().exception("a pushed request could not be read", integration=arrival.integration_id)
        return Problem()


def _read_post(
    provider: Pushed, row: ReceiverRow | None, arrival: Arrival
) -> Post | Proven | Greeting | Problem:
    request = arrival.request
    try:
        if is_later := _is_read_later(provider, arrival) or request.is_greeting:
            _verify(provider, request)
        messages = provider.receive(request) if isinstance(provider, Receiver) and not is_later else []
        if row is None:
            raise Unauthenticated
        _check_limit(row["wait_seconds"])
        if request.is_greeting:
            return Greeting(provider.greet(request) if isinstance(provider, Receiver) else {})
        if is_later:
            return Proven(provider, request)
    except Problem as problem:
        return problem
    answer = partial(provider.answer_push, request) if isinstance(provider, Receiver) else None
    return Post(row["id"], add_trace(messages, arrival.trace), len(request.body), answer)


def _verify(provider: Pushed, request: PushedRequest) -> None:
    try:
        provider.verify(request)
    except BadRequest as problem:
        # Nor does whoever sends what can't be read learn that there is somebody to read it.
        raise Unauthenticated(problem.detail) from None


def _is_read_later(provider: Pushed, arrival: Arrival) -> bool:
    """Whether it is read in its own thread: by a codec, for it takes long, or since that asks the database or the other
    side."""
    if (
        isinstance(provider, CallbackReceiver)
        or provider.asks_back(arrival.request)
        or arrival.weight > HEAVY
    ):
        return True
    return isinstance(provider, CodecFields) and provider.has_codecs


def _count_refusals(
    rows: Mapping[str, ReceiverRow], arrivals: Sequence[Arrival], results: Sequence[object]
) -> None:
    for arrival, result in zip(arrivals, results, strict=True):
        row = rows.get(arrival.integration_id)
        if isinstance(result, Unauthenticated) and row and takes_pushes(row["integration_type"], None):
            _refusals.add(row["id"], time.monotonic())


def _tell_recovered(
    rows: Mapping[str, ReceiverRow], arrivals: Sequence[Arrival], results: Sequence[object]
) -> None:
    pairs = zip(arrivals, results, strict=True)
    for integration_id in {
        each.integration_id for each, result in pairs if isinstance(result, Post | Proven)
    }:
        tell_recovered(rows[integration_id])


def _check_limit(wait_seconds: int) -> None:
    if wait_seconds:
        words = f"More requests a minute than this integration may have; try again in {wait_seconds} s."
        raise RateLimited(words, retry_after=wait_seconds)


_refusals = Refusals()
"""What they come to goes along with the next call for configs, whoever it is for: it costs none, and tells nobody."""

_tries = Tries()

_arrivals: AsyncBatcher[Arrival, Received] = AsyncBatcher(_receive_all, BATCH_WEIGHT, PLACES)
