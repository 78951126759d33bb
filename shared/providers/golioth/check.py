"""Check: does Golioth answer, does it know the key and the project, can devices be read."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.provider import (
    Check,
    CredentialsRefused,
    Deadline,
    Item,
    ProviderRefused,
    explain_url,
    run_checks,
)
from shared.providers.golioth.api import Account, GoliothApi, read_data, read_list

CHECK_SECONDS = 9.0


def check_project(account: Account) -> Iterator[Check]:
    """Resolve, connect, be known, read; a failed step ends it. Within `CHECK_SECONDS` in all."""
    with GoliothApi(account, Deadline(CHECK_SECONDS)) as api:
        test = _Test(api)
        yield from run_checks(
            [
                ("address", lambda: explain_url(account.base_url, api.deadline)),
                ("https", test.connect),
                ("project", test.find_project),
                ("devices", test.read_devices),
            ]
        )


class _Test:
    """The steps; the answer to one request serves two of them."""

    def __init__(self, api: GoliothApi) -> None:
        self._api = api
        self._url = urlsplit(api.account.base_url)
        self._project = Item(None)
        self._refusal: CredentialsRefused | ProviderRefused | None = None

    def connect(self) -> str:
        try:
            self._project = Item(read_data(self._api.call("GET", self._api.in_project(), again=False)))
        except (CredentialsRefused, ProviderRefused) as refusal:
            self._refusal = refusal
        return f"{self._url.hostname} answers."

    def find_project(self) -> str:
        if self._refusal:
            raise self._refusal
        return f"The key is accepted for the project {self._project.text('name') or self._api.account.project_id}."

    def read_devices(self) -> str:
        query = {"page": 0, "perPage": 1}
        reply = self._api.call("GET", self._api.in_project("devices"), query=query, again=False)
        read_list(reply)
        count = Item(reply).count("total")
        return "Devices can be read." if count is None else f"{count} devices can be read."
