"""The shapes of replies, written down for the document; the tests hold the functions to them."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.provider import CAPABILITIES


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


class IntegrationPage(Answer):
    """One page, newest first; `next_cursor` is null on the last."""

    integrations: list[Integration]
    next_cursor: str | None


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


class TickReport(Answer):
    """What one tick did, counted by part; a part that had nothing to do is empty."""

    sessions: dict[str, int]
    commands: dict[str, int] = Field(default_factory=dict)
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
