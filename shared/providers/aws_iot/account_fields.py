"""The fields that say whose account it is, and who asks: an access key, or a role that one assumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from shared.provider import (
    BaseUrl,
    Credential,
    Destination,
    NotSupported,
    Provider,
    locate_url,
    read_platform_key,
    require_partner,
)
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.hosts import IOT, REGION, check_data_host, check_simulator, name_host
from shared.providers.aws_iot.signing import Keys

NO_KEY = "Set access_key_id and secret_access_key, or role_arn: this goes through AWS's API."
NO_PLATFORM_KEY = (
    "This platform has no key that could assume the role: set access_key_id and secret_access_key too."
)
NOT_SAVED = "Save the integration first: the external id, under which the role is assumed, is its id."
ROLE = r"^arn:aws(-[a-z-]+)?:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$"

Role = Annotated[str, Field(pattern=ROLE)]


class AccountFields(Provider, defer_build=True):
    """One account of AWS in one region."""

    region: Annotated[str, Field(pattern=REGION)] = Field(examples=["eu-west-1"])
    """The region of AWS that the things are in."""
    access_key_id: Annotated[str, Field(pattern=r"^[A-Z0-9]{16,128}$")] | None = Field(
        None, title="Access key ID"
    )
    """An access key with the policy that docs/aws-iot.md has; this, or a role, is needed for all but receiving."""
    secret_access_key: Credential | None = Field(None, validate_default=True)
    """The secret of that key."""
    role_arn: Role | None = Field(
        None, title="Role ARN", examples=["arn:aws:iam::123456789012:role/device-integrations"]
    )
    """A role that is assumed, under this integration's id as external id: by the key above, else by the platform's."""
    data_endpoint: str | None = Field(None, examples=["abc123-ats.iot.eu-west-1.amazonaws.com"])
    """The host of the account's data endpoint; left out, AWS is asked for it."""
    endpoint_url: Annotated[BaseUrl, AfterValidator(check_simulator)] | None = Field(
        None, examples=["http://127.0.0.1:4566"], title="Simulator"
    )
    """A simulator of AWS on the same machine, for development; left out, AWS itself."""

    @field_validator("secret_access_key")
    @classmethod
    def _check_pair(cls, secret: Credential | None, info: ValidationInfo) -> Credential | None:
        if secret is None and info.data.get("access_key_id") is not None:
            raise ValueError("access_key_id is set; enter the secret that goes with it")
        return require_partner(secret, "access_key_id", info)

    @field_validator("data_endpoint")
    @classmethod
    def _check_endpoint(cls, host: str | None, info: ValidationInfo) -> str | None:
        region = info.data.get("region")
        return check_data_host(host, region) if host and region else host

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where it is signed for: the region's hosts and the data endpoint, for the role; or a simulator."""
        region, simulator = config.get("region"), config.get("endpoint_url")
        role, data = str(config.get("role_arn") or ""), str(config.get("data_endpoint") or "").strip().lower()
        if simulator:
            return (*locate_url(simulator), str(region), role)
        if not isinstance(region, str):
            raise ValueError("not a region")  # noqa: TRY004 - as for every other value
        return ("https", name_host(IOT, region), "443", role, data)

    @property
    def has_account(self) -> bool:
        """Whether the API may be asked."""
        return bool(self.secret_access_key or self.role_arn)

    @property
    def account(self) -> Account:
        """What calls to the API need; NotSupported without a key, or one to assume the role with."""
        if not self.has_account:
            raise NotSupported(NO_KEY)
        if self.role_arn and not self.identity.integration_id:
            raise NotSupported(NOT_SAVED)
        return Account(
            self.region,
            self._choose_keys(),
            self.role_arn,
            self.identity.integration_id,
            self.data_endpoint,
            self.endpoint_url,
            self.identity.organization_id,
        )

    def _choose_keys(self) -> Keys:
        if self.access_key_id and self.secret_access_key:
            return Keys(self.access_key_id, self.secret_access_key.get_secret_value())
        if (platform := read_platform_key()) is None:
            raise NotSupported(NO_PLATFORM_KEY)
        return Keys(*platform)
