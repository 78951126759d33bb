"""What somebody holds of what is past its retention, maintenance passes over until the next round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, LiteralString

import pytest

from tests.database.tenant import Tenant, open_tenant
from tests.database.test_held_rows import serve
from tests.stack import Stack

OLD: dict[str, tuple[LiteralString, LiteralString, LiteralString, str]] = {
    "prune_idempotency_keys": (
        "private.idempotency_keys",
        (
            "insert into private.idempotency_keys (user_id, key, organization_id, fingerprint, created_at)"
            " values (%(owner)s, gen_random_uuid(), %(organization)s, 'x', now() - interval '2 years')"
        ),
        "organization_id",
        "idempotency_keys",
    ),
    "prune_issued_ids": (
        "private.issued_ids",
        (
            "insert into private.issued_ids (organization_id, user_id, issued_at)"
            " values (%(organization)s, %(owner)s, now() - interval '2 years')"
        ),
        "organization_id",
        "issued_ids",
    ),
    "prune_invitations": (
        "public.organization_invitations",
        (
            "insert into organization_invitations (organization_id, email, role, invited_by, expires_at)"
            " values (%(organization)s, 'a@b.example', 'viewer', %(owner)s, now() - interval '2 years')"
        ),
        "organization_id",
        "invitations",
    ),
    "prune_rate_limits": (
        "private.rate_limits",
        "insert into private.rate_limits values (%(organization)s, 'write', now() - interval '2 years')",
        "subject",
        "rate_limits",
    ),
    "prune_audit_log": (
        "public.audit_log",
        (
            "insert into audit_log (organization_id, table_name, row_id, action, database_role, changed, created_at)"
            " values (%(organization)s, 'x', %(organization)s, 'insert', 'x', '{}', now() - interval '2 years')"
        ),
        "created_at < now() - interval '1 year' and organization_id",
        "audit_rows",
    ),
    "prune_refusals": (
        "public.alerts",
        (
            "insert into alerts (organization_id, integration_id, kind, message, details)"
            " select organization_id, id, 'receive.refused', 'x',"
            " jsonb_build_object('last_at', now() - interval '1 day')"
            " from device_integrations where organization_id = %(organization)s"
        ),
        "organization_id",
        "refusals",
    ),
    "prune_firmware": (
        "public.firmware_rollouts",
        (
            "insert into firmware_rollouts (organization_id, integration_id, name, target, artifacts, status,"
            " finished_at)"
            " select organization_id, id, 'x', '{}', '[]', 'done', now() - interval '2 years'"
            " from device_integrations where organization_id = %(organization)s"
        ),
        "organization_id",
        "firmware_rollouts",
    ),
    "prune_conflicts": (
        "public.device_conflicts",
        (
            "insert into device_conflicts (organization_id, integration_id, device_id, fields, local, remote,"
            " applied_at)"
            " select organization_id, integration_id, id, '{}', '{}', '{}', now() - interval '2 years'"
            " from devices where organization_id = %(organization)s"
        ),
        "organization_id",
        "conflicts",
    ),
}


@pytest.fixture
def pair(stack: Stack) -> Iterator[tuple[Tenant, Tenant]]:
    """Two organizations with a device each."""
    with open_tenant(stack) as first, open_tenant(stack) as second:
        for each in (first, second):
            each.own(
                "insert into devices (organization_id, integration_id, external_id, name)"
                " values (%(organization)s, %(integration)s, 'd', 'd')",
                integration=each.integrate(),
            )
        yield first, second


@pytest.mark.parametrize("prune", OLD)
def test_what_is_held_is_passed_over_and_goes_with_the_next_round(
    pair: tuple[Tenant, Tenant], prune: str
) -> None:
    held, free = pair
    table, insert, whose, counted = OLD[prune]
    ask: Any = f"select {prune}()"
    serve(free, ask)
    for each in pair:
        each.own(insert, owner=each.owner)

    with held.stack.connect() as holding:
        holding.execute(f"select from {table} where {whose} = %s for update", (held.organization,))
        first = serve(free, ask)
        holding.rollback()
    second = serve(free, ask)

    assert (first[counted], second[counted]) == (1, 1)


def test_an_ended_organization_of_which_something_is_held_keeps_no_other_from_being_erased(
    pair: tuple[Tenant, Tenant],
) -> None:
    held, free = pair
    while serve(free, "select erase_organizations()")["organizations_erased"]:
        continue
    for each in pair:
        each.own("select private.end_organization(%(organization)s)")

    with held.stack.connect() as holding:
        holding.execute("select from devices where organization_id = %s for update", (held.organization,))
        first = serve(free, "select erase_organizations()")
        holding.rollback()
    second = serve(free, "select erase_organizations()")

    assert (first["organizations_erased"], second["organizations_erased"]) == (1, 1)
