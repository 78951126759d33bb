"""The connection test: does Golioth answer, does it know the key and the project, can devices be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from shared.provider import Check, CredentialsRefused, Deadline, ProviderRefused, resolve_checked, run_check
from shared.providers.golioth.api import Account, GoliothApi, read_data, read_list

CHECK_SECONDS = 9.0
PORTS = {"http": 80, "https": 443}


def check_project(account: Account) -> Iterator[Check]:
    """Resolve, connect, be known, read; a failed step ends it. Within `CHECK_SECONDS` in all."""
    deadline = Deadline(CHECK_SECONDS)
    with GoliothApi(account, deadline) as api:
        test = _Test(api, deadline)
        steps: list[tuple[str, Callable[[], str]]] = [
            ("address", test.resolve),
            ("https", test.connect),
            ("project", test.find_project),
            ("devices", test.read_devices),
        ]
        for name, step in steps:
            outcome = run_check(name, step)
            yield outcome
            if not outcome.ok:
                return


class _Test:
    """The steps; the answer to one request serves two of them."""

    def __init__(self, api: GoliothApi, deadline: Deadline) -> None:
        self._api = api
        self._deadline = deadline
        self._project: dict[str, str] = {}
        self._refusal: CredentialsRefused | ProviderRefused | None = None

    def resolve(self) -> str:
        url = urlsplit(self._api.account.base_url)
        host, port = url.hostname or "", url.port or PORTS[url.scheme]
        addresses = resolve_checked(host, port, self._deadline.remaining())
        return f"{host} is {', '.join(address.address for address in addresses)}."

    def connect(self) -> str:
        try:
            self._project = read_data(self._api.call("GET", self._api.in_project(), again=False))
        except (CredentialsRefused, ProviderRefused) as refusal:
            self._refusal = refusal
        return f"{urlsplit(self._api.account.base_url).hostname} answers."

    def find_project(self) -> str:
        if self._refusal:
            raise self._refusal
        return f"The key is accepted for the project {self._project.get('name') or self._api.account.project_id}."

    def read_devices(self) -> str:
        reply = self._api.call(
            "GET", self._api.in_project("devices"), query={"page": 0, "perPage": 1}, again=False
        )
        count = reply.get("total") if isinstance(reply, dict) else None
        read_list(reply)
        return f"{count} devices can be read." if isinstance(count, int) else "Devices can be read."
