"""Integrations in the database, as the caller: reading them, and the one call that writes them (optimistic lock)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from shared.integrations.bodies import Health, IntegrationFilters, IntegrationPage, Status
from shared.integrations.sealing import SealedIntegration
from shared.runtime.bodies import Moment, Uuid
from shared.runtime.errors import NotFound
from shared.runtime.log import bind_log
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import WRITES, Settled, settle_limits


class IntegrationRow(TypedDict):
    """An integration as its members may read it."""

    id: Uuid
    organization_id: Uuid
    integration_type: str
    name: str
    status: Status
    settings: dict[str, object]
    secret_names: list[str]
    device_count: int
    last_sync_at: Moment | None
    sync_status: str | None
    error_message: str | None
    created_at: Moment
    created_by: Uuid | None
    updated_at: Moment
    version: int
    health: Health


class SealedRow(SealedIntegration):
    """What `sealed_config` lends an admin."""

    secret_names: list[str]
    version: int


class Written(Settled):
    """What `write_integration` answers; `fingerprint` is of the request that was first with the same key."""

    integration: IntegrationRow
    fingerprint: NotRequired[str]


def list_rows(call: Call, query: IntegrationFilters) -> IntegrationPage:
    """One page of the caller's integrations, newest first.

    The database writes the page as it is answered: reading and writing it again here cost as much as the rest.
    """
    if query.organization_id:
        bind_log(organization=str(query.organization_id))
    after_created_at, after_id = query.after
    page: IntegrationPage = call.database.call_unread(
        "list_integrations",
        p_limit=query.limit,
        p_after_created_at=after_created_at,
        p_after_id=after_id,
        p_organization_id=query.organization_id,
        p_integration_type=query.integration_type,
        p_status=query.status,
    )
    return page


def read_row(call: Call) -> IntegrationRow:
    """The integration of the path with its health; NotFound where the caller does not see it."""
    row: IntegrationRow = call.database.call("read_integration", p_integration_id=call.integration_id)
    return row


def read_sealed(call: Call) -> SealedRow:
    """The row with its sealed secrets, for admins: Forbidden below, NotFound for strangers."""
    rows: list[SealedRow] = call.database.call("sealed_config", p_integration_id=call.integration_id)
    if not rows:
        raise NotFound
    bind_log(organization=rows[0]["organization_id"])
    return rows[0]


def write_row(
    call: Call, action: Literal["insert", "update", "delete"], write: Mapping[str, object]
) -> Written:
    """`write_integration` in supabase/migrations: limits, idempotency key and the change in one transaction.

    Errors: RateLimited, Forbidden, NotFound, Conflict, PreconditionFailed, BadRequest.
    """
    written: Written = call.database.call("write_integration", p_action=action, p_write=write)
    settle_limits(call, WRITES, written)
    return written
