"""Results as `finish_deliveries` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.deliveries.verdict import Attempt, Verdict
from shared.provider.base import Provider
from shared.runtime.errors import InvalidConfig, Problem
from shared.runtime.outbound import OutboundReply

Result = dict[str, Any]


def describe_attempt(
    delivery: Mapping[str, Any], attempt: Attempt, verdict: Verdict, provider: Provider | None
) -> Result:
    """What one attempt came to, its answer without the secrets that the endpoint may have echoed."""
    reply, problem = attempt.reply, attempt.problem
    return {
        "id": delivery["id"],
        "lease_token": delivery["lease_token"],
        "outcome": verdict.outcome,
        "retry_seconds": verdict.retry_seconds,
        "started_at": attempt.started_at,
        "milliseconds": round(attempt.milliseconds),
        "status_code": reply.status if reply else None,
        "error": f"{problem.code}: {problem.detail}"[:2000] if problem else None,
        "reply": show_reply(reply, provider) if reply and provider else None,
    }


def describe_unsent(delivery: Mapping[str, Any], problem: Problem) -> Result:
    """Why nothing could be sent; the delivery stays as it was and the integration shows the reason."""
    unsent = describe_attempt(delivery, Attempt(datetime.now(UTC), 0), Verdict("unsent"), None)
    return unsent | {"error": explain_unusable(problem)[:2000]}


def explain_unusable(problem: Problem) -> str:
    """Why a webhook can't be used, in words for its admin."""
    if not isinstance(problem, InvalidConfig):
        return problem.detail
    wrong = "; ".join(f"{error.field}: {error.message}" for error in problem.errors)
    return f"The stored config is not valid, so nothing was sent: {wrong}"


def show_reply(reply: OutboundReply, provider: Provider) -> str:
    """The beginning of the answer as text, secrets masked."""
    text = reply.body.decode(errors="replace").replace("\x00", "\ufffd")
    return provider.mask_text(text, cut=reply.truncated)
