"""Rate limits per user and per organization, held across instances by the database.

Every reply to a limited call says what is left, in the fields of draft-ietf-httpapi-ratelimit-headers (10 and later):
`RateLimit-Policy: "write-user";q=600;w=60` and `RateLimit: "write-user";r=599;t=1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.runtime.database.client import Database, make_problem
from shared.runtime.errors import RateLimited
from shared.runtime.settings import load_settings
from shared.runtime.web.routing import Call

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Budget:
    """One kind of call that is limited, with its own buckets; `name` as in the database."""

    name: str
    user_setting: str
    organization_setting: str

    def limits(self) -> dict[str, int]:
        """Calls a minute, as the SQL functions take them; 0 for no limit."""
        settings = load_settings()
        return {
            "user": getattr(settings, self.user_setting),
            "organization": getattr(settings, self.organization_setting),
        }


WRITES = Budget("write", "rate_limit_writes_user", "rate_limit_writes_organization")
TESTS = Budget("test", "rate_limit_tests_user", "rate_limit_tests_organization")
COMMANDS = Budget("command", "rate_limit_commands_user", "rate_limit_commands_organization")


def take_tokens(call: Call, database: Database, budget: Budget, **charged: str) -> None:
    """Take a token of the caller and one of `p_organization_id` or `p_integration_id`; RateLimited when out of them."""
    taken = database.call("take_tokens", p_budget=budget.name, p_limits=budget.limits(), **charged)
    report_limits(call, budget, taken)


def settle_limits(call: Call, budget: Budget, result: dict[str, Any]) -> dict[str, Any]:
    """The `{limits, problem?, …}` of a SQL function that takes tokens itself; raises RateLimited, or its problem."""
    report_limits(call, budget, result["limits"])
    if "problem" in result:
        raise make_problem(result["problem"])
    return result


def report_limits(call: Call, budget: Budget, taken: Mapping[str, Any]) -> None:
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


def _refuse(name: str, policy: Mapping[str, Any]) -> RateLimited:
    wait = max(1, policy["seconds"])
    return RateLimited(
        f"More than {policy['limit']} calls a minute ({name}); try again in {wait} s.",
        headers={"Retry-After": str(wait)},
    )
