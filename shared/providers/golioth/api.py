"""Golioth's management API: its paths, its envelopes, its pages.

Source: Golioth's OpenAPI document and Python client 0.9.0. One object comes as `{"data": …}`, a list as `{"list": […],
"page": 0, "perPage": 100, "total": 1}` with a zero-based page, an error as google.rpc.Status `{"code", "message"}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.provider import Access, Deadline, JsonApi, Object, ProtocolFailed

PAGE_SIZE = 100
MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Account:
    """Whose project: `base_url` as in the config, without a slash at its end.

    `organization_id` is Golioth's own, `owner` ours.
    """

    base_url: str
    api_key: str
    project_id: str
    organization_id: str | None = None
    owner: str = ""


class GoliothApi(JsonApi):
    """One account's calls. Use it as `with GoliothApi(account, deadline) as api`; see `JsonApi`."""

    def __init__(self, account: Account, deadline: Deadline) -> None:
        self.account = account
        key = account.api_key
        access = Access("Golioth", account.base_url, {"x-api-key": key}, [key], account.owner)
        super().__init__(access, deadline)

    def in_project(self, *parts: str) -> str:
        """`/projects/{project}/…`, each part escaped."""
        return self.join_path("projects", self.account.project_id, *parts)

    def in_organization(self, *parts: str) -> str:
        """`/organizations/{organization}/projects/{project}/…`; ProtocolFailed where the config has no organization."""
        if not self.account.organization_id:
            raise ProtocolFailed(
                "Set golioth_organization_id: cohorts, deployments and packages belong to an organization of Golioth's."
            )
        return self.join_path("organizations", self.account.organization_id) + self.in_project(*parts)

    def get_one(self, path: str, **query: object) -> Any:
        """What is in the `data` of the reply."""
        return read_data(self.call("GET", path, query=query))

    def get_page(
        self, path: str, page: int, query: Mapping[str, object] | None = None
    ) -> tuple[list[Object], int | None]:
        """The objects of one page of a list, and the number of the next; ProtocolFailed beyond `MOST_PAGES`."""
        if page >= MOST_PAGES:
            raise ProtocolFailed(f"Golioth's list has more than {MOST_PAGES} pages.")
        reply = self.call("GET", path, query={**(query or {}), "page": page, "perPage": PAGE_SIZE})
        items = read_list(reply)
        return items, None if is_last_page(reply, page, len(items)) else page + 1

    def list_pages(
        self, path: str, query: Mapping[str, object] | None = None, *, first: int = 0
    ) -> Iterator[list[Object]]:
        """Page after page from `first` to the end; an empty list yields one empty page."""
        page: int | None = first
        while page is not None:
            items, page = self.get_page(path, page, query)
            yield items


def read_data(reply: Any) -> Any:
    """What is in the envelope's `data`; ProtocolFailed without one."""
    if not isinstance(reply, dict) or "data" not in reply:
        raise ProtocolFailed("Golioth answered without data.")
    return reply["data"]


def read_list(reply: Any) -> list[Object]:
    """The objects of a list reply; a project without any answers without `list`."""
    items = reply.get("list", []) if isinstance(reply, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ProtocolFailed("Golioth answered without a list.")
    return items


def is_last_page(reply: Object, page: int, count: int) -> bool:
    """Whether nothing follows: by `total` where it is told, else by a page that came empty.

    `perPage` is read back, for Golioth may serve fewer than were asked for.
    """
    total, size = reply.get("total"), reply.get("perPage")
    if count == 0:
        return True
    if isinstance(total, int) and isinstance(size, int) and size > 0:
        return (page + 1) * size >= total
    return False
