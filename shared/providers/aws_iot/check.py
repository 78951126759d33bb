"""Check: what comes in, then each right that the policy has to give, by a call that changes nothing; in AWS's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.provider import (
    BrokerPlan,
    Check,
    CodecFields,
    Deadline,
    ProviderRefused,
    explain_url,
    load_client,
    run_check,
    run_checks,
)
from shared.providers.aws_iot.account import Account, locate_control
from shared.providers.aws_iot.api import AwsApi, find_data_endpoint, open_api, pardon_refusals
from shared.providers.aws_iot.bucket import BucketApi
from shared.providers.aws_iot.roles import find_keys
from shared.providers.aws_iot.session import explain_policy, make_plan

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

CHECK_SECONDS = 9.0
STEPS = {
    "address": "broker address",
    "tcp": "broker port",
    "tls": "broker tls",
    "mqtt": "mqtt",
    "subscribe": "topics",
}
LETS_IN = frozenset(("tls", "mqtt", "subscribe"))
"""Steps in which AWS says by closing that a policy is missing."""

NOBODY = "device-integrations-connection-test"
"""A thing that nobody has: that it is not there is what a right is known by."""


def check_account(aws: AwsIot) -> Iterator[Check]:
    """Within `CHECK_SECONDS` in all; a failed step ends it."""
    deadline = Deadline(CHECK_SECONDS)
    if aws.has_account:
        pardon_refusals(aws.account)
    if aws.is_polled:
        for check in _check_broker(aws, deadline):
            yield check
            if not check.ok:
                return
    else:
        yield run_check("receiver", lambda: _explain_receiver(aws))
    if aws.has_account:
        yield from run_checks(_list_steps(aws, aws.account, deadline))


def _check_broker(aws: AwsIot, deadline: Deadline) -> Iterator[Check]:
    plans: list[BrokerPlan] = []
    yield run_check("data endpoint", lambda: _find_broker(aws, plans, deadline))
    for plan in plans:
        for check in load_client().test(plan, deadline):
            hint = "" if check.ok or check.name not in LETS_IN else f" {explain_policy(plan)}"
            yield replace(check, name=STEPS[check.name], detail=f"{check.detail}{hint}")


def _find_broker(aws: AwsIot, plans: list[BrokerPlan], deadline: Deadline) -> str:
    if aws.codec:
        aws.check_codec()
    plans.append(plan := make_plan(aws, deadline))
    who = "A signature" if plan.broker.sign_path else "The certificate"
    return f"{who} proves who connects to {plan.broker.host}:{plan.broker.port}."


def _list_steps(aws: AwsIot, account: Account, deadline: Deadline) -> list[tuple[str, Callable[[], str]]]:
    steps: list[tuple[str, Callable[[], str]]] = [
        ("address", lambda: explain_url(locate_control(account), deadline)),
        *([("role", lambda: _assume(account, deadline))] if account.role_arn else []),
        ("things", lambda: _read_things(account, deadline)),
        ("shadows", lambda: _read_shadow(account, deadline)),
        ("jobs", lambda: _read_jobs(account, deadline)),
    ]
    if aws.firmware_bucket:
        bucket = aws.firmware_bucket
        steps.append(("images", lambda: _read_bucket(account, bucket, deadline)))
    return steps


def _explain_receiver(aws: AwsIot) -> str:
    if isinstance(aws, CodecFields) and aws.codec:
        aws.open_codec("codec")
    if aws.confirm_until and aws.confirm_until > datetime.now(UTC):
        return f"Destinations are confirmed until {aws.confirm_until:%Y-%m-%d %H:%M} UTC."
    return "What rules push is taken; a new destination is confirmed while confirm_until lies ahead."


def _assume(account: Account, deadline: Deadline) -> str:
    find_keys(account, deadline)
    return f"The role is assumed, with the external id {account.external_id}."


def _read_things(account: Account, deadline: Deadline) -> str:
    with open_api(account, "iot", deadline) as api:
        api.run("iot:ListThings", query={"maxResults": 1}, again=False)
    return f"The things in {account.region} can be read."


def _read_shadow(account: Account, deadline: Deadline) -> str:
    host = find_data_endpoint(account, deadline).partition("://")[2]
    with open_api(account, "data", deadline) as api:
        _expect_absent(api)
    return f"The data endpoint {host} answers, and shadows can be read."


def _expect_absent(api: AwsApi) -> None:
    try:
        api.run("iot:GetThingShadow", NOBODY, again=False)
    except ProviderRefused as refusal:
        if refusal.answered != HTTPStatus.NOT_FOUND:
            raise


def _read_jobs(account: Account, deadline: Deadline) -> str:
    with open_api(account, "iot", deadline) as api:
        api.run("iot:ListJobs", query={"maxResults": 1}, again=False)
    return "Jobs can be read."


def _read_bucket(account: Account, bucket: str, deadline: Deadline) -> str:
    with BucketApi(account, "s3", deadline, account.locate("s3")) as api:
        api.run("s3:ListBucket", bucket, query={"list-type": 2, "max-keys": 1}, again=False)
    return f"The bucket {bucket} can be read."
