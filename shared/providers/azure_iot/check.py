"""Check: the codec compiles, where Event Grid posts to; the hub answers, the key is accepted and has both rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.provider import (
    Check,
    CredentialsRefused,
    Deadline,
    ProviderRefused,
    explain_url,
    run_checks,
    show_address,
)
from shared.providers.azure_iot.api import AzureApi

if TYPE_CHECKING:
    from shared.providers.azure_iot import AzureIot

CHECK_SECONDS = 9.0
NOBODY = "no-such-device-of-this-test"
"""A device that is asked for to see whether that is allowed."""


def check_hub(azure: AzureIot) -> Iterator[Check]:
    """What comes in first, then what goes out; a failed step ends it. Within `CHECK_SECONDS` in all."""
    steps: list[tuple[str, Callable[[], str]]] = []
    if azure.codec:
        steps.append(("codec", azure.check_codec))
    steps.append(("receive", lambda: _tell_address(azure)))
    if azure.shared_access_key is None:
        yield from run_checks(steps)
        return
    account = azure.account
    with AzureApi(account, Deadline(CHECK_SECONDS)) as api:
        test = _Test(api, account.policy)
        steps.append(("address", lambda: explain_url(account.base_url, api.deadline)))
        steps += [("service", test.read_twin), ("registry", test.read_registry)]
        yield from run_checks(steps)


class _Test:
    """The steps that are about rights: what one call is refused, another tells from a wrong key."""

    def __init__(self, api: AzureApi, policy: str) -> None:
        self._api, self._policy = api, policy

    def read_twin(self) -> str:
        """Twins, methods: ServiceConnect."""
        self._ask("twins", "devices", "ServiceConnect (service connect)")
        return f"The policy {self._policy} may call methods and read and write twins."

    def read_registry(self) -> str:
        """Devices: RegistryRead. Whether it may write shows when it does."""
        self._ask("devices", "twins", "RegistryRead (registry read)")
        return f"The policy {self._policy} may read the registry of devices."

    def _ask(self, kind: str, other: str, right: str) -> None:
        refused = self._find_refusal(kind)
        if refused is None:
            return
        if self._find_refusal(other) is None:
            words = f"The policy {self._policy} lacks the right {right}: {refused.detail}"
            raise CredentialsRefused(words)
        raise refused

    def _find_refusal(self, kind: str) -> CredentialsRefused | None:
        try:
            self._api.call("GET", self._api.join_path(kind, NOBODY), again=False)
        except CredentialsRefused as refusal:
            return refusal
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise
        return None


def _tell_address(azure: AzureIot) -> str:
    address = show_address(azure.identity)
    return f"Event Grid posts to {address}?{azure.secret_parameter}=<webhook_secret>."
