"""The config: what goes together, where keys go, that the external id is ours."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import NotSupported
from shared.providers.aws_iot import AwsIot
from shared.runtime.errors import InvalidConfig
from shared.runtime.settings import load_settings
from tests.unit.providers.aws_iot.accounts import IDENTITY, load_aws

KEY = {"access_key_id": "AKIDEXAMPLE0000FAKE1", "secret_access_key": "canary-secret"}
ROLE = "arn:aws:iam::123456789012:role/device-integrations"
REGION = {"region": "eu-west-1"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"region": "eu-west-1.evil.example/"}, "region"),
        ({"region": "EU"}, "region"),
        (REGION | {"access_key_id": KEY["access_key_id"]}, "secret_access_key"),
        (REGION | KEY | {"access_key_id": "short"}, "access_key_id"),
        (REGION | KEY | {"data_endpoint": "https://abc-ats.iot.eu-west-1.amazonaws.com"}, "data_endpoint"),
        (REGION | KEY | {"data_endpoint": "abc-ats.iot.us-east-1.amazonaws.com"}, "data_endpoint"),
        (REGION | {"role_arn": "arn:aws:iam::12:role/x"}, "role_arn"),
        (REGION | {"endpoint_url": "https://aws.example.com"}, "endpoint_url"),
        (REGION | {"device_topic": "plant/pump"}, "device_topic"),
        (REGION | {"command_topic": "devices/{nobody}/x"}, "command_topic"),
        (REGION | {"firmware_bucket": "a.b"}, "firmware_bucket"),
        (REGION | {"firmware_folder": "a/b"}, "firmware_folder"),
        (REGION | {"sync_thing_group": "a/b"}, "sync_thing_group"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_aws({"webhook_secret": "w" * 20} | config)

    assert [error.field for error in refusal.value.errors] == [field]


def test_without_a_key_nothing_is_synced_and_with_one_things_come_in() -> None:
    assert load_aws(REGION).sync_direction == "off"
    assert load_aws(REGION | KEY).sync_direction == "import"
    assert load_aws(REGION | {"role_arn": ROLE}).sync_direction == "import"


def test_another_region_role_or_endpoint_is_another_place_for_the_secret() -> None:
    configs = [
        REGION,
        {"region": "us-east-1"},
        REGION | {"role_arn": ROLE},
        REGION | {"data_endpoint": "abc-ats.iot.eu-west-1.amazonaws.com"},
        REGION | {"endpoint_url": "http://127.0.0.1:1"},
    ]

    assert len({AwsIot.locate(config) for config in configs}) == len(configs)


def test_the_external_id_is_the_integrations_own_and_no_field_of_the_config() -> None:
    account = load_aws(REGION | KEY | {"role_arn": ROLE}).account

    assert account.external_id == IDENTITY.integration_id
    assert not [name for name in AwsIot.model_fields if "external" in name]
    with pytest.raises(InvalidConfig):
        load_aws(REGION | KEY | {"role_arn": ROLE, "external_id": "somebody-elses"})


def test_a_role_without_a_key_is_assumed_by_the_platforms_own(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = load_aws(REGION | {"role_arn": ROLE})
    load_settings.cache_clear()
    with pytest.raises(NotSupported, match="no key that could assume"):
        _ = aws.account
    monkeypatch.setenv("AWS_IOT_ACCESS_KEY_ID", "AKIDPLATFORM00000000")
    monkeypatch.setenv("AWS_IOT_SECRET_ACCESS_KEY", "canary-platform")
    load_settings.cache_clear()

    keys = aws.account.keys

    assert (keys.access_key_id, keys.secret) == ("AKIDPLATFORM00000000", "canary-platform")
    load_settings.cache_clear()


def test_importing_the_type_imports_no_client() -> None:
    import subprocess
    import sys

    heavy = ("asyncio", "ssl", "aiohttp", "botocore", "cryptography")
    words = f"import sys, shared.providers.aws_iot; print([n for n in {heavy} if n in sys.modules])"

    said = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout
    before = subprocess.run(
        [sys.executable, "-c", words.replace("aws_iot", "golioth")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == before
