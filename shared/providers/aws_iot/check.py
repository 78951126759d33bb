"""Check: what comes in, then each right that the policy has to give, by a call that changes nothing; in AWS's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.provider import Check, CodecFields, Deadline, ProviderRefused, explain_url, run_check, run_checks
from shared.providers.aws_iot.account import Account, locate_control
from shared.providers.aws_iot.api import AwsApi, find_data_endpoint, open_api
from shared.providers.aws_iot.bucket import BucketApi
from shared.providers.aws_iot.roles import find_keys

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

CHECK_SECONDS = 9.0
NOBODY = "device-integrations-connection-test"
"""A thing that nobody has: that it is not there is what a right is known by."""


def check_account(aws: AwsIot) -> Iterator[Check]:
    """Within `CHECK_SECONDS` in all; a failed step ends it."""
    yield run_check("receiver", lambda: _explain_receiver(aws))
    if not aws.has_account:
        return
    account, deadline = aws.account, Deadline(CHECK_SECONDS)
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
    yield from run_checks(steps)


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
