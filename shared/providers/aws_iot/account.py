"""Whose account: its keys, for a role those of a session; its region and its data endpoint, looked up once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from shared.providers.aws_iot.hosts import IOT, name_host
from shared.providers.aws_iot.signing import Keys

Value = TypeVar("Value")

REMEMBERED = 256
"""Sessions, or endpoints, that a process keeps at once."""

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


class Memory(Generic[Value]):
    """What was learned of accounts, each until its time; the least lately used is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Value, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, account: Account, learn: Callable[[], tuple[Value, datetime]]) -> Value:
        """What is known of the account, else what `learn` says, until when it says."""
        name = account.fingerprint
        with self._lock:
            value, until = self._known.get(name, (None, datetime.min.replace(tzinfo=UTC)))
            if value is not None and until > datetime.now(UTC):
                self._known.move_to_end(name)
                return value
        learned = learn()
        with self._lock:
            self._known[name] = learned
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return learned[0]

    def forget(self, account: Account) -> None:
        """Have it learned anew."""
        with self._lock:
            self._known.pop(account.fingerprint, None)


def locate_control(account: Account) -> str:
    """Where the registry and the jobs are."""
    return account.locate(IOT)
