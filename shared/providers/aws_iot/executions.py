"""How each thing fares with a job: who is in its group, page by page, then its executions.

Errors of what is here: ProviderRefused, other OutsideErrors.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from shared.provider import DeviceFirmware, Item, Listing, ProviderRefused, RolloutPlan
from shared.providers.aws_iot.api import LONGEST_TOKEN, AwsApi, read_items
from shared.providers.aws_iot.jobs import is_failed, name_thing, read_execution, read_reason

PAGE_SIZE, REASONS_AT_ONCE = 250, 25
FRESH_SECONDS = 600
"""For so long after a thing failed it is asked why: what is known of it then is kept."""

MEMBERS, EXECUTIONS = "members", "executions"
"""What a page's token begins with, and by itself the first page."""


def list_members(api: AwsApi, plan: RolloutPlan, token: str) -> Listing[DeviceFirmware]:
    """A page of who is in the group; after the last come the executions."""
    query = {"recursive": "true", "maxResults": PAGE_SIZE, "nextToken": token}
    reply = api.run("iot:ListThingsInThingGroup", str(plan.target.cohort_id), query=query)
    names = [each for each in read_items(reply, "things") if isinstance(each, str)]
    following = read_next(reply)
    after = f"{MEMBERS} {following}" if following else EXECUTIONS
    return Listing([DeviceFirmware(name, {}) for name in names], after)


def list_executions(api: AwsApi, plan: RolloutPlan, token: str) -> Listing[DeviceFirmware]:
    """A page of the executions; of those that failed lately with the reason."""
    query = {"maxResults": PAGE_SIZE, "nextToken": token}
    reply = api.run("iot:ListJobExecutionsForJob", plan.name, query=query)
    executions = [Item(each) for each in read_items(reply, "executionSummaries")]
    since = time.time() - FRESH_SECONDS
    fresh = [name_thing(each) for each in executions if is_failed(each) and _read_moment(each) > since]
    reasons = {thing: _ask_reason(api, plan, thing) for thing in fresh[:REASONS_AT_ONCE]}
    devices = [read_execution(plan, each, reasons.get(name_thing(each))) for each in executions]
    following = read_next(reply)
    return Listing([each for each in devices if each], f"{EXECUTIONS} {following}" if following else None)


def read_next(reply: object) -> str | None:
    """By what the next page is asked for."""
    return Item(reply).text("nextToken", LONGEST_TOKEN)


def _read_moment(execution: Item) -> float:
    return execution.item("jobExecutionSummary").number("lastUpdatedAt") or 0


def _ask_reason(api: AwsApi, plan: RolloutPlan, thing: str) -> str | None:
    try:
        return read_reason(api.run("iot:DescribeJobExecution", thing, plan.name))
    except ProviderRefused as refusal:
        # It was taken out of the job meanwhile: that hides no other.
        if refusal.answered != HTTPStatus.NOT_FOUND:
            raise
        return None
