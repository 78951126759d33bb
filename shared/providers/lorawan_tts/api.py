"""The API of The Things Stack: its paths, and its errors in its own words.

An error is `{"code", "message": "error:pkg/…:name (…)", "details": [{"namespace", "name", "attributes"}]}`. Registries
of identities may be on another host than those of a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.provider import Access, Deadline, Item, JsonApi

NAME = "The Things Stack"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose application: addresses as in the config, without a slash at their end; `owner` is our organization."""

    base_url: str
    identity_url: str
    api_key: str
    application_id: str
    owner: str = ""


class TtsApi(JsonApi):
    """One account's calls to a cluster, or to where identities are."""

    def __init__(
        self, account: Account, deadline: Deadline, *, of_identities: bool = False, waits: bool = True
    ) -> None:
        self.account = account
        address = account.identity_url if of_identities else account.base_url
        headers = {"Authorization": f"Bearer {account.api_key}"}
        access = Access(NAME, f"{address}/api/v3", headers, [account.api_key], account.owner)
        super().__init__(access, deadline, waits=waits)

    def in_application(self, *parts: str, server: str = "") -> str:
        """`/applications/{application}/…`, or the same below the path of a server (`as`, `js`, `ns`)."""
        application = ("applications", self.account.application_id, *parts)
        return self.join_path(server, *application) if server else self.join_path(*application)

    def read_words(self, document: object) -> str:
        """Its message, with the rights that are missing."""
        missing = [
            right
            for each in Item(document).items("details")
            for right in each.item("attributes").texts("missing")
        ]
        named = f" Missing: {', '.join(missing)}." if missing else ""
        return super().read_words(document) + named
