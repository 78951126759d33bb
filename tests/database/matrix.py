"""The one place that says who may do what: every table, every operation, every exposed function."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("viewer", "member", "admin", "owner")
PERSONAS = ("anon", "outsider", "other_owner", *ROLES)
"""Nobody signed in, a user in no organization, the owner of another organization, and the four roles."""


@dataclass(frozen=True)
class Table:
    """Who may do what on one table: the least role for each operation, None for nobody.

    `make` inserts one row of organization Alpha as the service and returns it; `insert`, `update` and `delete` are
    what a user tries, on `%(organization)s`, `%(row)s` and the other names `make_world` gives.
    """

    make: str
    key: str
    select: str | None
    may_insert: str | None
    may_update: str | None
    may_delete: str | None
    insert: str
    update: str


def _read_only(table: str, columns: str, values: str, key: str = "id") -> Table:
    insert = f"insert into {table} ({columns}) values ({values})"
    first = columns.split(",", maxsplit=1)[0].strip()
    return Table(
        make=f"{insert} returning {key}",
        key=key,
        select="viewer",
        may_insert=None,
        may_update=None,
        may_delete=None,
        insert=insert,
        update=f"update {table} set {first} = {first}",
    )


MATRIX: dict[str, Table] = {
    "organizations": Table(
        make="select %(organization)s::uuid",
        key="id",
        select="viewer",
        may_insert=None,
        may_update="owner",
        may_delete=None,
        insert="insert into organizations (name) values ('Mine now')",
        update="update organizations set name = 'Renamed'",
    ),
    "organization_members": Table(
        make="insert into organization_members (organization_id, user_id, role)"
        " values (%(organization)s, %(guest)s, 'viewer') returning user_id",
        key="user_id",
        select="viewer",
        may_insert=None,  # membership needs consent: accept_invitation
        may_update="admin",
        may_delete="admin",
        insert="insert into organization_members (organization_id, user_id, role)"
        " values (%(organization)s, %(newcomer)s, 'viewer')",
        update="update organization_members set role = 'member'",
    ),
    "organization_invitations": Table(
        make="insert into organization_invitations (organization_id, email, role, invited_by)"
        " values (%(organization)s, 'matrix@people.test', 'viewer', %(guest)s) returning id",
        key="id",
        select="admin",
        may_insert=None,
        may_update=None,
        may_delete="admin",
        insert="insert into organization_invitations (organization_id, email, role, invited_by)"
        " values (%(organization)s, 'other@people.test', 'owner', auth.uid())",
        update="update organization_invitations set role = 'owner'",
    ),
    "codecs": _read_only(
        "codecs",
        "organization_id, name, kind, source",
        "%(organization)s, 'matrix', 'cbor', ''",
    ),
    "device_tokens": _read_only(
        "device_tokens",
        "organization_id, integration_id, external_id",
        "%(organization)s, %(integration)s, 'matrix'",
    ),
    "device_integrations": Table(
        make="insert into device_integrations (organization_id, integration_type, name)"
        " values (%(organization)s, 'mqtt', 'Matrix') returning id",
        key="id",
        select="viewer",
        may_insert="admin",
        may_update="admin",
        may_delete="admin",
        insert="insert into device_integrations (organization_id, integration_type, name)"
        " values (%(organization)s, 'mqtt', 'Another')",
        update="update device_integrations set name = 'Changed'",
    ),
    "devices": Table(
        make="insert into devices (organization_id, integration_id, external_id, name)"
        " values (%(organization)s, %(integration)s, 'matrix', 'Matrix') returning id",
        key="id",
        select="viewer",
        may_insert="admin",
        may_update="member",
        may_delete="admin",
        insert="insert into devices (organization_id, external_id, name) values (%(organization)s, 'new', 'New')",
        update="update devices set name = 'Changed'",
    ),
    "device_messages": _read_only(
        "device_messages",
        "organization_id, integration_id, event_id, kind, observed_at, received_at",
        "%(organization)s, %(integration)s, 'matrix', 'event', now(), now()",
    ),
    "device_commands": Table(
        make="insert into device_commands (device_id, name) values (%(device)s, 'matrix') returning id",
        key="id",
        select="viewer",
        may_insert="member",
        may_update=None,
        may_delete=None,
        insert="insert into device_commands (device_id, name) values (%(device)s, 'stop')",
        update="update device_commands set status = 'failed'",
    ),
    "integration_activity": _read_only(
        "integration_activity",
        "organization_id, integration_id, kind, message",
        "%(organization)s, %(integration)s, 'session', 'matrix'",
    ),
    "alerts": _read_only(
        "alerts",
        "organization_id, integration_id, kind, message",
        "%(organization)s, %(integration)s, 'matrix', 'matrix'",
    ),
    "integration_metrics": _read_only(
        "integration_metrics",
        "organization_id, integration_id, minute",
        "%(organization)s, %(integration)s, '2001-01-01'",
        key="minute",
    ),
    "integration_metric_rollups": _read_only(
        "integration_metric_rollups",
        "organization_id, integration_id, step, at",
        "%(organization)s, %(integration)s, 'hour', '2001-01-01'",
        key="at",
    ),
    "integration_totals": _read_only(
        "integration_totals",
        "organization_id, integration_id",
        "%(organization)s, %(integration)s",
        key="integration_id",
    ),
    "integration_schedules": Table(
        make="select %(integration)s::uuid",
        key="integration_id",
        select=None,
        may_insert=None,
        may_update=None,
        may_delete=None,
        insert="insert into integration_schedules (integration_id) values (%(integration)s)",
        update="update integration_schedules set due_at = now()",
    ),
    "audit_log": Table(
        make="insert into audit_log (organization_id, table_name, row_id, action, database_role, changed)"
        " values (%(organization)s, 'matrix', %(integration)s, 'insert', 'matrix', '{}') returning id",
        key="id",
        select="admin",
        may_insert=None,
        may_update=None,
        may_delete=None,
        insert="insert into audit_log (organization_id, table_name, row_id, action, database_role, changed)"
        " values (%(organization)s, 'matrix', %(integration)s, 'insert', 'matrix', '{}')",
        update="update audit_log set action = 'update'",
    ),
    "device_links": _read_only(
        "device_links",
        "device_id, organization_id, integration_id, status",
        "%(device)s, %(organization)s, %(integration)s, 'creating'",
        key="device_id",
    ),
    "device_conflicts": _read_only(
        "device_conflicts",
        "device_id, organization_id, integration_id, fields, local, remote",
        "%(device)s, %(organization)s, %(integration)s, '{name}', '{}', '{}'",
    ),
    "device_provisionings": _read_only(
        "device_provisionings",
        "device_id, organization_id, integration_id, request, credentials, makes_device, due_at",
        "%(device)s, %(organization)s, %(integration)s, '{}', 'none', true, now()",
    ),
    "integration_jobs": Table(
        make="insert into integration_jobs (organization_id, integration_id, kind)"
        " values (%(organization)s, %(integration)s, 'matrix') returning id",
        key="id",
        select="viewer",
        may_insert="admin",
        may_update=None,
        may_delete=None,
        insert="insert into integration_jobs (organization_id, integration_id, kind)"
        " values (%(organization)s, %(integration)s, 'backfill')",
        update="update integration_jobs set status = 'cancelled'",
    ),
    "firmware_rollouts": _read_only(
        "firmware_rollouts",
        "organization_id, integration_id, name, target, artifacts",
        "%(organization)s, %(integration)s, 'matrix', jsonb_build_object('cohort_id', gen_random_uuid()), '[]'",
    ),
    "firmware_updates": _read_only(
        "firmware_updates",
        "organization_id, integration_id, external_id, package, to_version, at",
        "%(organization)s, %(integration)s, 'matrix', 'main', '1.0.0', now()",
    ),
    "webhook_deliveries": _read_only(
        "webhook_deliveries",
        "organization_id, integration_id, event_type, message_id, message_received_at",
        "%(organization)s, %(integration)s, 'device.event', gen_random_uuid(), now()",
    ),
    "webhook_endpoints": _read_only(
        "webhook_endpoints",
        "organization_id, integration_id",
        "%(organization)s, %(integration)s",
        key="integration_id",
    ),
    "integration_health": Table(
        make="select %(integration)s::uuid",
        key="integration_id",
        select="viewer",
        may_insert=None,
        may_update=None,
        may_delete=None,
        insert="insert into integration_health (integration_id) values (%(integration)s)",
        update="update integration_health set name = 'Changed'",
    ),
    "integration_facts": _read_only(
        "integration_facts",
        "integration_id, organization_id, direction",
        "%(integration)s, %(organization)s, 'in'",
        key="integration_id",
    ),
    "integration_states": Table(
        make="select %(integration)s::uuid",
        key="integration_id",
        select="viewer",
        may_insert=None,
        may_update=None,
        may_delete=None,
        insert="insert into integration_states (integration_id, organization_id)"
        " values (%(integration)s, %(organization)s)",
        update="update integration_states set state = 'healthy'",
    ),
    "integration_events": _read_only(
        "integration_events",
        "organization_id, integration_id, event_type, payload",
        "%(organization)s, %(integration)s, 'alert.matrix', '{}'",
    ),
    "webhook_requests": _read_only(
        "webhook_requests",
        "organization_id, integration_id, delivery_id, started_at, is_delivered, method, url, headers, body_bytes",
        "%(organization)s, %(integration)s, %(delivery)s, now(), true, 'POST', 'matrix', '{}', 1",
    ),
    "webhook_attempts": _read_only(
        "webhook_attempts",
        "organization_id, delivery_id, attempt, started_at, milliseconds",
        "%(organization)s, %(delivery)s, 1, now(), 1",
    ),
}

FUNCTIONS: dict[str, frozenset[str]] = {
    "accept_invitation": frozenset({"authenticated"}),
    "acknowledge_alert": frozenset({"authenticated"}),
    "begin_provisioning": frozenset({"authenticated"}),
    "cancel_deliveries": frozenset({"authenticated"}),
    "cancel_delivery": frozenset({"authenticated"}),
    "cancel_job": frozenset({"authenticated"}),
    "cancel_rollout": frozenset({"authenticated"}),
    "claim_rollout": frozenset({"service_role"}),
    "codec_sources": frozenset({"service_role"}),
    "confirm_exports": frozenset({"service_role"}),
    "confirm_session": frozenset({"service_role"}),
    "count_sealed": frozenset({"service_role"}),
    "create_organization": frozenset({"authenticated"}),
    "delete_organization": frozenset({"authenticated"}),
    "device_integrations": frozenset({"authenticated", "service_role"}),
    "devices": frozenset({"authenticated", "service_role"}),
    "end_provisioning": frozenset({"service_role"}),
    "erase_organizations": frozenset({"service_role"}),
    "explain_unopened": frozenset({"service_role"}),
    "explain_failure": frozenset({"service_role"}),
    "fail_rollout": frozenset({"service_role"}),
    "failed_messages": frozenset({"authenticated"}),
    "find_device_tokens": frozenset({"service_role"}),
    "finish_commands": frozenset({"service_role"}),
    "finish_deliveries": frozenset({"service_role"}),
    "finish_job": frozenset({"service_role"}),
    "finish_provisioning": frozenset({"authenticated"}),
    "finish_session": frozenset({"service_role"}),
    "invite_member": frozenset({"authenticated"}),
    "issue_device_token": frozenset({"authenticated"}),
    "issue_id": frozenset({"authenticated"}),
    "ingest_batch": frozenset({"service_role"}),
    "ingest_history": frozenset({"service_role"}),
    "ingest_messages": frozenset({"service_role"}),
    "ingest_retained": frozenset({"service_role"}),
    "leave_organization": frozenset({"authenticated"}),
    "judge_integrations": frozenset({"service_role"}),
    "lease_commands": frozenset({"service_role"}),
    "lease_deliveries": frozenset({"service_role"}),
    "lease_jobs": frozenset({"service_role"}),
    "lease_provisionings": frozenset({"service_role"}),
    "lease_sessions": frozenset({"service_role"}),
    "link_devices": frozenset({"service_role"}),
    "list_integrations": frozenset({"authenticated"}),
    "list_invitations": frozenset({"authenticated"}),
    "list_unlinked": frozenset({"service_role"}),
    "list_unsighted": frozenset({"service_role"}),
    "mark_devices": frozenset({"service_role"}),
    "park_session": frozenset({"service_role"}),
    "plan_rollouts": frozenset({"service_role"}),
    "plan_provisionings": frozenset({"service_role"}),
    "plan_syncs": frozenset({"service_role"}),
    "prune_audit_log": frozenset({"service_role"}),
    "prune_conflicts": frozenset({"service_role"}),
    "prune_events": frozenset({"service_role"}),
    "prune_deliveries": frozenset({"service_role"}),
    "prune_history": frozenset({"service_role"}),
    "prune_firmware": frozenset({"service_role"}),
    "prune_idempotency_keys": frozenset({"service_role"}),
    "prune_invitations": frozenset({"service_role"}),
    "prune_issued_ids": frozenset({"service_role"}),
    "prune_jobs": frozenset({"service_role"}),
    "prune_messages": frozenset({"service_role"}),
    "prune_rate_limits": frozenset({"service_role"}),
    "prune_refusals": frozenset({"service_role"}),
    "read_integration_keys": frozenset({"service_role"}),
    "read_integration": frozenset({"authenticated"}),
    "read_quotas": frozenset({"authenticated"}),
    "read_metrics": frozenset({"authenticated"}),
    "read_platform_metrics": frozenset({"service_role"}),
    "read_scheduler": frozenset({"authenticated"}),
    "sum_metrics": frozenset({"service_role"}),
    "read_stale_seals": frozenset({"service_role"}),
    "receive_messages": frozenset({"service_role"}),
    "receiver_configs": frozenset({"service_role"}),
    "redecode_messages": frozenset({"service_role"}),
    "record_activity": frozenset({"service_role"}),
    "record_heartbeat": frozenset({"service_role"}),
    "record_firmware": frozenset({"service_role"}),
    "record_remote_write": frozenset({"authenticated"}),
    "record_requests": frozenset({"service_role"}),
    "record_test": frozenset({"authenticated"}),
    "renew_jobs": frozenset({"service_role"}),
    "spread_deliveries": frozenset({"service_role"}),
    "renew_session": frozenset({"service_role"}),
    "replace_seals": frozenset({"service_role"}),
    "replay_deliveries": frozenset({"authenticated"}),
    "replay_delivery": frozenset({"authenticated"}),
    "replay_messages": frozenset({"authenticated"}),
    "require_role": frozenset({"authenticated"}),
    "resolve_conflict": frozenset({"authenticated"}),
    "revoke_device_token": frozenset({"authenticated"}),
    "rotate_device_token": frozenset({"authenticated"}),
    "rotate_keys": frozenset({"service_role"}),
    "run_rollout": frozenset({"service_role"}),
    "save_job": frozenset({"service_role"}),
    "sealed_config": frozenset({"authenticated"}),
    "send_command": frozenset({"authenticated"}),
    "settle_rollout": frozenset({"service_role"}),
    "start_rollout": frozenset({"authenticated"}),
    "stored_messages": frozenset({"service_role"}),
    "sync_devices": frozenset({"service_role"}),
    "take_callback": frozenset({"service_role"}),
    "take_tokens": frozenset({"authenticated"}),
    "write_codec": frozenset({"authenticated"}),
    "write_integration": frozenset({"authenticated"}),
}
"""Every function the API exposes, and who may execute it."""
