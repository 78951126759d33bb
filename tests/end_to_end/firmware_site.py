"""An integration with a Golioth of our own, as one of its users sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tests.fakes.golioth import FakeGolioth
from tests.platform import Platform
from tests.stack import Stack


@dataclass(frozen=True)
class Site:
    """The fake, the integration with it, and who calls."""

    fake: FakeGolioth
    platform: Platform
    integration: dict[str, Any]

    @property
    def path(self) -> str:
        """The integration's place in the API."""
        return f"/integrations/{self.integration['id']}"

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A call below the integration's path."""
        return self.platform.call(method, f"{self.path}{path}", **request)

    def as_user(self, role: str, organization: int = 0) -> Site:
        """The same, for somebody else."""
        stack = self.platform.stack
        return replace(self, platform=Platform(stack, stack.user(role, organization)))


@contextmanager
def open_site(stack: Stack, **config: Any) -> Iterator[Site]:
    """A Golioth and an admin's integration with it; `config` beside what the fake needs."""
    with FakeGolioth() as fake:
        account = {"base_url": fake.url, "api_key": fake.api_key, "project_id": fake.project_id}
        admin = Platform(stack, stack.user("admin", 0))
        fields = account | {"golioth_organization_id": fake.organization_id} | config
        wanted = {name: value for name, value in fields.items() if value is not None}
        yield Site(fake, admin, admin.create("golioth", wanted))
