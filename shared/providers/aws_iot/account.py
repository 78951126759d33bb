"""Whose account: its keys, for a role those of a session; its region and its data endpoint, looked up once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

from shared.providers.aws_iot.hosts import IOT, name_host
from shared.providers.aws_iot.signing import Keys

SPARE = timedelta(minutes=5)
"""So long before its end a session is taken for ended."""

ENDPOINT_LASTS = timedelta(hours=12)
DATA = "data"


@dataclass(frozen=True, slots=True)
class Account:
    """What calls to AWS need. `simulator` takes the place of every host of AWS, on this machine.

    `keys` are the account's own, or with `role_arn` those that assume the role, under `external_id`. `owner` is our
    organization.
    """

    region: str
    keys: Keys
    role_arn: str | None = None
    external_id: str = ""
    data_endpoint: str | None = None
    simulator: str | None = None
    owner: str = field(default="")

    @property
    def fingerprint(self) -> str:
        """Names the account and how it is asked, without saying it."""
        parts = (self.region, self.keys.access_key_id, self.keys.secret, self.role_arn, self.external_id)
        return hashlib.sha256("\0".join(map(str, (*parts, self.simulator))).encode()).hexdigest()

    def locate(self, service: str) -> str:
        """Where a service is, as `https://host`."""
        return self.simulator or f"https://{name_host(service, self.region)}"

    def locate_data(self, host: str) -> str:
        """Where the data endpoint is."""
        return self.simulator or f"https://{host}"


def locate_control(account: Account) -> str:
    """Where the registry and the jobs are."""
    return account.locate(IOT)
