"""A provider of an IoT Hub, over a fake of one."""

from __future__ import annotations

from typing import Any

from shared.provider import Identity, make_provider
from shared.providers.azure_iot import AzureIot
from tests.fakes.azure.iot_hub import HOST, FakeIotHub

SECRET = "secret-0123456789ab"


def make_azure(fake: FakeIotHub | None = None, **config: Any) -> AzureIot:
    """A provider of the fake's hub, or of one without an API; `config` replaces or adds fields."""
    account = (
        {"base_url": fake.url, "policy_name": fake.policy, "shared_access_key": fake.key} if fake else {}
    )
    given = {"host_name": HOST, "webhook_secret": SECRET} | account | config
    made = make_provider(
        AzureIot,
        {name: each for name, each in given.items() if each is not None},
        Identity("o", "i", "azure_iot"),
    )
    assert isinstance(made, AzureIot)
    return made
