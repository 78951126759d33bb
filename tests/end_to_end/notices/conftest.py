"""What tests of messages to people start from."""

from __future__ import annotations

import pytest

from tests.end_to_end.notices.telling import Telling
from tests.platform import Platform


@pytest.fixture
def telling(admin: Platform, functions_environment: None) -> Telling:  # noqa: ARG001 - it works in this process
    """An organization without alerts, whose alerts are raised by hand."""
    with admin.stack.connect() as connection:
        connection.execute("delete from alerts")
        connection.execute("delete from webhook_deliveries")
    return Telling(admin)
