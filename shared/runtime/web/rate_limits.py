"""Rate limits per user and per organization: token buckets, held across instances by the database.

Every reply to a limited call says what is left, in the fields of draft-ietf-httpapi-ratelimit-headers (10 and later):
`RateLimit-Policy: "write-user";q=600;w=60` and `RateLimit: "write-user";r=599;t=1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired

from typing_extensions import TypedDict

from shared.runtime.database.client import Refusal, make_problem
from shared.runtime.errors import RateLimited
from shared.runtime.web.call import Call

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Budget:
    """One kind of call that is limited, with its own buckets; `name` as in private.budgets, which has their sizes."""

    name: str


class Policy(TypedDict):
    """One bucket after a call: `seconds` until one more token is there."""

    limit: int
    allowed: bool
    remaining: int
    seconds: int


class Taken(TypedDict):
    """What `take_tokens` answers: the policies by whose bucket it is."""

    policies: dict[str, Policy]


class Settled(TypedDict):
    """What every SQL function answers that takes tokens itself; its problem instead of what was wanted."""

    limits: Taken
    problem: NotRequired[Refusal]


WRITES, TESTS, COMMANDS = Budget("write"), Budget("test"), Budget("command")


def take_tokens(call: Call, budget: Budget, **charged: str) -> None:
    """Take a token of the caller and one of `p_organization_id` or `p_integration_id`; RateLimited when out of them."""
    taken: Taken = call.database.call("take_tokens", p_budget=budget.name, **charged)
    report_limits(call, budget, taken)


def settle_limits(call: Call, budget: Budget, settled: Settled) -> None:
    """What a SQL function answered that takes tokens itself: its limits on the reply; RateLimited, or its problem."""
    report_limits(call, budget, settled["limits"])
    if "problem" in settled:
        raise make_problem(settled["problem"])


def report_limits(call: Call, budget: Budget, taken: Taken) -> None:
    """Put what the database answered on the reply; RateLimited where it refused."""
    policies = {f"{budget.name}-{whose}": policy for whose, policy in taken["policies"].items()}
    if policies:
        call.headers["RateLimit-Policy"] = ", ".join(
            f'"{name}";q={policy["limit"]};w={WINDOW_SECONDS}' for name, policy in policies.items()
        )
        call.headers["RateLimit"] = ", ".join(
            f'"{name}";r={policy["remaining"]};t={policy["seconds"]}' for name, policy in policies.items()
        )
    for name, policy in policies.items():
        if not policy["allowed"]:
            raise _refuse(name, policy)


def _refuse(name: str, policy: Policy) -> RateLimited:
    wait = max(1, policy["seconds"])
    words = f"More than {policy['limit']} calls a minute ({name}); try again in {wait} s."
    return RateLimited(words, retry_after=wait)
