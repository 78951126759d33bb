"""An account at the AWS of the tests."""

from __future__ import annotations

from typing import Any, cast

from shared.provider import Identity, load_provider
from shared.providers.aws_iot import AwsIot
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.signing import Keys
from tests.fakes.aws import FakeAws
from tests.fakes.aws.server import KEY_ID, SECRET

IDENTITY = Identity(
    "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-00000000000a", "aws_iot", "Plant"
)


def make_account(aws: FakeAws, **changes: Any) -> Account:
    """What calls need; `changes` as of Account."""
    usual: dict[str, Any] = {"region": "eu-west-1", "keys": Keys(KEY_ID, SECRET), "simulator": aws.url}
    return Account(**usual | changes)


def make_config(aws: FakeAws, **changes: Any) -> dict[str, Any]:
    """A config for it."""
    key = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    return {"region": "eu-west-1", "endpoint_url": aws.url, **key, "webhook_secret": "w" * 20} | changes


def load_aws(config: dict[str, Any]) -> AwsIot:
    """The provider of a config; what is None in it counts as absent."""
    return cast(
        "AwsIot",
        load_provider({name: value for name, value in config.items() if value is not None}, IDENTITY),
    )
