"""The shapes of replies, written down for the document; the tests hold the functions to them."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.provider.base import CAPABILITIES


class Answer(BaseModel):
    """A reply has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Integration(Answer):
    """One integration: `config` without its secrets, and the names of the secrets that are set."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_type: str
    name: str
    status: Literal["active", "inactive", "error"]
    config: dict[str, Any]
    secrets: list[str]
    device_count: int
    last_sync_at: AwareDatetime | None
    sync_status: str | None
    error_message: str | None
    created_at: AwareDatetime
    created_by: uuid.UUID | None
    updated_at: AwareDatetime


class OneIntegration(Answer):
    """One integration."""

    integration: Integration


class CreatedIntegration(OneIntegration):
    """The new integration, and the secrets that were made for it, which are shown this once."""

    generated: dict[str, str] = Field(default_factory=dict)


class IntegrationPage(Answer):
    """One page, newest first; `next_cursor` is null on the last."""

    integrations: list[Integration]
    next_cursor: str | None


class Receipt(Answer):
    """What became of the messages in a pushed request: received = stored + duplicates + failed."""

    received: int
    stored: int
    duplicates: int
    failed: int


class IntegrationType(Answer):
    """One kind of integration: what it can do, and the JSON Schema of its config."""

    type: str
    label: str
    docs: str
    capabilities: list[Literal[CAPABILITIES]]  # type: ignore[valid-type] # a tuple of the names
    config_schema: dict[str, Any]


class Catalogue(Answer):
    """Every integration type there is."""

    types: list[IntegrationType]


class Step(Answer):
    """One step of a connection test: what was seen or what failed, and how long it took."""

    name: str
    ok: bool
    detail: str
    ms: float = Field(ge=0)


class Verdict(Answer):
    """A connection test: `ok` when every step is; the first step that fails is the last."""

    ok: bool
    checks: list[Step]


class Delivery(Answer):
    """One event on its way to one webhook; `id` is its `webhook-id` over all attempts."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    event_type: str
    message_id: uuid.UUID
    message_received_at: AwareDatetime
    status: Literal["pending", "delivering", "delivered", "dead", "cancelled"]
    attempts: int
    due_at: AwareDatetime
    created_at: AwareDatetime
    replayed_at: AwareDatetime | None


class Attempt(Answer):
    """One try: what was answered, or `error` in words."""

    attempt: int
    started_at: AwareDatetime
    milliseconds: int
    status_code: int | None
    error: str | None
    reply: str | None


class DeliveryWithAttempts(Delivery):
    """A delivery with every attempt, in their order."""

    attempts_log: list[Attempt]


class OneDelivery(Answer):
    """One delivery with its attempts."""

    delivery: DeliveryWithAttempts


class DeliveryPage(Answer):
    """One page, newest first."""

    deliveries: list[Delivery]
    next_cursor: str | None


class ChangedDelivery(Answer):
    """One delivery as it is now."""

    delivery: Delivery


class Replayed(Answer):
    """How many were queued again, how many of the range are left for another call, and when this was."""

    replayed: int
    left: int
    replayed_at: AwareDatetime


class ReplayedCounts(Answer):
    """Of the failed messages that were looked at: how many are stored now, were stored already, and still fail."""

    replayed: int
    stored: int
    duplicates: int
    failed: int
    next_cursor: str | None


class Cancelled(Answer):
    """How many were taken off the queue, and whether there are more."""

    cancelled: int
    more: bool


class Activity(Answer):
    """One thing that happened to an integration."""

    id: int
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    kind: str
    level: Literal["info", "warning", "error"]
    message: str
    details: dict[str, Any]
    created_at: AwareDatetime


class ActivityPage(Answer):
    """One page, newest first."""

    activity: list[Activity]
    next_cursor: str | None


class Command(Answer):
    """One thing told to one device; `reference` is the other side's name for it, `error` why it failed.

    `result` is what the device answered.
    """

    id: uuid.UUID
    organization_id: uuid.UUID
    device_id: uuid.UUID
    integration_id: uuid.UUID
    name: str
    payload: Any
    status: Literal["pending", "sending", "sent", "confirmed", "failed", "expired"]
    attempts: int
    expires_at: AwareDatetime
    reference: str | None
    result: Any
    error: str | None
    created_by: uuid.UUID | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class OneCommand(Answer):
    """One command."""

    command: Command


class Job(Answer):
    """Long work on one integration; `error` is why the last try failed, `report` what came of a finished one."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    kind: str
    request: dict[str, Any]
    status: Literal["pending", "running", "done", "failed", "cancelled"]
    progress: dict[str, Any]
    report: dict[str, Any] | None
    error: str | None
    attempts: int
    due_at: AwareDatetime
    created_by: uuid.UUID | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class OneJob(Answer):
    """One job."""

    job: Job


class JobPage(Answer):
    """One page, newest first."""

    jobs: list[Job]
    next_cursor: str | None


class ShownState(Answer):
    """What is at `path` in the state of a device; null where nothing is."""

    path: str
    state: Any


class Setting(Answer):
    """One setting; `device` is the external id of the device it is for, where it is for one only."""

    id: str
    key: str
    data_type: Literal["integer", "float", "string", "boolean"]
    value: Any
    device: str | None
    blueprint_id: str | None
    created_at: str | None
    updated_at: str | None


class OneSetting(Answer):
    """One setting."""

    setting: Setting


class SettingList(Answer):
    """All settings that were asked for."""

    settings: list[Setting]


class FieldConflict(Answer):
    """Fields of a device that were changed on both sides, as they were on each; `resolution` says which side counts."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    device_id: uuid.UUID
    fields: list[Literal["name", "tags"]]
    local: dict[str, Any]
    remote: dict[str, Any]
    status: Literal["open", "resolved"]
    resolution: Literal["local", "remote", "agreed"] | None
    policy: Literal["local", "remote", "newest"] | None
    created_at: AwareDatetime
    resolved_at: AwareDatetime | None
    resolved_by: uuid.UUID | None
    applied_at: AwareDatetime | None


class OneConflict(Answer):
    """One conflict."""

    conflict: FieldConflict


class ConflictPage(Answer):
    """One page, newest first."""

    conflicts: list[FieldConflict]
    next_cursor: str | None


class Device(Answer):
    """One device as it is here; `external_id` is its id at the provider, once it is there."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID | None
    external_id: str
    name: str
    device_type: str | None
    status: Literal["online", "offline", "unknown"]
    last_seen_at: AwareDatetime | None
    firmware_version: str | None
    metadata: dict[str, Any]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    edited_at: AwareDatetime


class Provisioning(Answer):
    """What was to be created at the provider; `pending` is completed, or undone, by the scheduler."""

    id: uuid.UUID
    organization_id: uuid.UUID
    integration_id: uuid.UUID
    device_id: uuid.UUID | None
    request: dict[str, Any]
    credentials: Literal["psk", "certificate", "none"]
    identity: str | None
    status: Literal["pending", "done", "failed"]
    error: str | None
    due_at: AwareDatetime
    created_by: uuid.UUID | None
    created_at: AwareDatetime
    finished_at: AwareDatetime | None


class Provisioned(Answer):
    """The device, and what it signs in with: shown this once."""

    device: Device
    provisioning: Provisioning
    credentials: dict[str, str] | None


class TickReport(Answer):
    """What one tick did, counted by part; a part that had nothing to do is empty."""

    sessions: dict[str, int]
    commands: dict[str, int]
    jobs: dict[str, int]
    deliveries: dict[str, int]
    maintenance: dict[str, Any]


class WrongField(Answer):
    """`field` is a dotted path; `message` says what was expected, never the value."""

    field: str
    message: str


class ProblemDocument(Answer):
    """RFC 9457. `code` is for programs, `detail` for people; `request_id` finds the call in the log."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[WrongField] = Field(default_factory=list, min_length=1)
