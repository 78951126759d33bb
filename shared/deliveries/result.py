"""Results as `finish_deliveries` takes them: one attempt each, its answer without the secrets it may echo."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.deliveries.attempt import Attempt, name_problem
from shared.deliveries.delivery import LeasedDelivery, tell_payload
from shared.deliveries.judgement import Judgement, judge_attempt
from shared.provider import Provider, Subscriber, Subscription
from shared.runtime.database.leases import UNREAD, Unread
from shared.runtime.errors import InvalidConfig, Problem
from shared.runtime.outbound import REPLY_LIMIT, OutboundReply
from shared.runtime.portable import replace_nul

ERROR_LIMIT = HEARD_LIMIT = 2_000
REFERENCE_LIMIT = 500
MOST_GAPS = 20


@dataclass  # neither frozen nor with slots, which orjson takes four times as long to write
class Result:
    """What one attempt came to. `reply` is the beginning of the answer.

    `certificate` is when that of the endpoint begins and ends to hold, `missing` what the config names of the event
    that it did not have; None where there is no certificate, and nothing named.
    """

    id: str
    lease_token: str
    outcome: str
    retry_seconds: float | None
    started_at: datetime
    milliseconds: int
    status_code: int | None
    error: str | None
    reply: str | None
    reference: str | None = None
    certificate: tuple[float, float] | None = None
    missing: list[str] | None = None


def conclude_attempt(delivery: LeasedDelivery, attempt: Attempt, provider: Subscription) -> Result:
    """What an attempt came to, whatever it was: a defect of ours or of the provider's is a failed attempt."""
    try:
        verdict = judge_attempt(attempt, delivery["attempts"], provider.retry_schedule)
        return _describe(delivery, attempt, verdict, provider)
    except Exception as error:  # noqa: BLE001 - no answer may end the dispatcher, nor keep its place for ever
        failed = Attempt(attempt.started_at, attempt.milliseconds, problem=name_problem(error))
        verdict = judge_attempt(failed, delivery["attempts"], provider.retry_schedule)
        return _describe(delivery, failed, verdict, None)


def describe_unsent(delivery: LeasedDelivery, problem: Problem) -> Result:
    """Why nothing could be sent; the delivery stays as it was and the integration shows the reason."""
    unsent = _describe(delivery, Attempt(datetime.now(UTC), 0), Judgement("unsent"), None)
    return replace(unsent, error=explain_unusable(problem)[:ERROR_LIMIT])


def describe_unread(unread: Unread) -> Result:
    """The end of a delivery whose message can't be read: to try again would read the same."""
    return Result(unread.id, unread.lease_token, "dead", None, datetime.now(UTC), 0, None, UNREAD, None)


def explain_unusable(problem: Problem) -> str:
    """Why a webhook can't be used, in words for its admin."""
    if not isinstance(problem, InvalidConfig):
        return problem.detail
    return problem.explain("The stored config is not valid, so nothing was sent:")


def _describe(
    delivery: LeasedDelivery, attempt: Attempt, verdict: Judgement, provider: Provider | None
) -> Result:
    reply, problem = attempt.reply, attempt.problem
    error = f"{problem.code}: {problem.detail}" if problem else None
    return Result(
        id=delivery["id"],
        lease_token=delivery["lease_token"],
        outcome=verdict.outcome,
        retry_seconds=verdict.retry_seconds,
        started_at=attempt.started_at,
        milliseconds=round(attempt.milliseconds),
        status_code=reply.status if reply else None,
        error=_show(error, provider)[:ERROR_LIMIT] if error else None,
        reply=_show_answer(attempt, provider) if provider else None,
        reference=_show(attempt.reference, provider)[:REFERENCE_LIMIT] if attempt.reference else None,
        certificate=reply.certificate if reply else attempt.certificate,
        missing=_find_gaps(delivery, provider),
    )


def _find_gaps(delivery: LeasedDelivery, provider: Provider | None) -> list[str] | None:
    if not isinstance(provider, Subscriber):
        return None
    gaps = provider.find_gaps(tell_payload(delivery))
    return gaps if gaps is None else gaps[:MOST_GAPS]


def _show_answer(attempt: Attempt, provider: Provider) -> str | None:
    if attempt.reply:
        return _show_reply(attempt.reply, provider)
    return _show(attempt.heard, provider)[:HEARD_LIMIT] if attempt.heard else None


def _show_reply(reply: OutboundReply, provider: Provider) -> str:
    """The beginning of the answer, and in brackets what of it was left out."""
    text = _show(reply.body.decode(errors="replace"), provider, cut=reply.truncated)
    note = f"\n[{reply.cut}]" if reply.cut else ""
    return text[: REPLY_LIMIT - len(note)] + note


def _show(text: str, provider: Provider | None, *, cut: bool = False) -> str:
    """`text` as Postgres can hold it, secrets masked."""
    storable = replace_nul(text.encode(errors="replace").decode())
    return provider.mask_text(storable, cut=cut) if provider else storable
