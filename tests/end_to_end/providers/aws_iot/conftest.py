"""An integration with the AWS of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.providers.aws_iot.site import Site, open_site
from tests.fakes.aws import FakeAws
from tests.platform import Platform


@pytest.fixture
def site(admin: Platform, aws: FakeAws, functions_environment: None) -> Iterator[Site]:  # noqa: ARG001 - in place
    """With a key, rules and a command topic."""
    with open_site(admin, aws) as opened:
        yield opened
