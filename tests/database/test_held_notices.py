"""Whoever holds what goes to their own people keeps no other organization's waiting, however many people they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

import pytest
from psycopg.types.json import Jsonb

from tests.database.tenant import Tenant, open_tenant
from tests.database.test_held_rows import Pair, lease, subscribe
from tests.stack import Stack

PEOPLE, ALERTS = 30, 6

HELD: dict[str, LiteralString] = {
    "all of them": "true",
    "what follows": "message_id <> (select min(f.message_id::text)::uuid from webhook_deliveries f"
    " where f.ordering_key = d.ordering_key)",
}


@pytest.fixture
def pair(stack: Stack) -> Iterator[Pair]:
    """The organization whose people are to be told of a storm, and another."""
    with open_tenant(stack) as large, open_tenant(stack) as other:
        large.own("delete from webhook_deliveries")
        yield large, other


def raise_storm(tenant: Tenant) -> None:
    """More alerts for each of many people than go one by one."""
    people = [{"name": f"P{n}", "to": f"+4917012345{n:02d}"} for n in range(PEOPLE)]
    tenant.own(
        "insert into device_integrations (organization_id, integration_type, name, settings)"
        " values (%(organization)s, 'twilio', 'People', %(settings)s)",
        settings=Jsonb({"events": ["alert.*"], "recipients": people, "max_concurrent": 100}),
    )
    for _ in range(ALERTS):
        tenant.own(
            "select private.raise_alert(%(id)s, 'webhook.failing', 'warning', 'It fails.', '{}')",
            id=tenant.integrate(),
        )
    tenant.own(
        "update webhook_deliveries set created_at = created_at - interval '1 minute'"
        " where organization_id = %(organization)s"
    )


@pytest.mark.parametrize("held", HELD)
def test_what_is_held_of_many_people_is_waited_for_once_at_most(pair: Pair, held: str) -> None:
    large, other = pair
    raise_storm(large)
    subscribe(other)
    assert large.own("select count(*) from webhook_deliveries where recipient is not null") == PEOPLE * ALERTS

    with large.stack.connect() as holding:
        holding.execute(
            "select from webhook_deliveries d where d.organization_id = %(id)s and "
            + HELD[held]
            + " for update",
            {"id": large.organization},
        )
        leased = lease(other)

    assert set(leased) == {other.organization}
    assert large.organization in lease(other)
