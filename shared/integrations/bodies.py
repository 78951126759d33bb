"""What callers of `/integrations` send, in every form it may have, and what they get."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any, ClassVar, Literal, NotRequired

import orjson
from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import TypedDict

from shared.provider import MIXINS, Check
from shared.runtime.bodies import VISIBLE, Body, Moment, Query, Text, Uuid
from shared.runtime.numbers import Whole
from shared.runtime.web.paging import PageQuery, PeriodQuery

Status = Literal["active", "inactive", "error"]
Level = Literal["info", "warning", "error"]


def _check_name(name: str) -> str:
    if not re.fullmatch(VISIBLE, name):
        raise ValueError("must have at least one visible character and no NUL")
    return name


Name = Annotated[
    str,
    Field(min_length=1, max_length=200, json_schema_extra={"pattern": VISIBLE}),
    AfterValidator(_check_name),
]


class ConfigForms(Body):
    """`config` as an object, or as a JSON string in `api_key_encrypted`, plain in both; sealed by us."""

    config: dict[str, object] | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_string_form(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "api_key_encrypted" not in data:
            return data
        if "config" in data:
            raise ValueError("send either config or api_key_encrypted, not both")
        return {key: value for key, value in data.items() if key != "api_key_encrypted"} | {
            "config": _parse_config_string(data["api_key_encrypted"])
        }


class UnsavedIntegration(ConfigForms):
    """The body of POST /integrations/test."""

    organization_id: uuid.UUID
    integration_type: str = Field(max_length=40)
    """As in the catalogue; `lora` becomes the LoRaWAN type that the config is of."""


class NewIntegration(UnsavedIntegration):
    """The body of POST."""

    name: Name
    status: Literal["active", "inactive"] = "active"


class ChangedIntegration(ConfigForms):
    """The body of PATCH: an absent field stays."""

    null_is_absent: ClassVar[bool] = False

    id: uuid.UUID | None = None
    """Which integration, where the address does not say it."""
    name: Name = ""
    status: Literal["active", "inactive"] = "active"


class ChangedIntegrationById(ChangedIntegration):
    """The body of PATCH in the form that may name the id there."""


class Trial(ConfigForms):
    """The body of POST /integrations/{id}/test: a merge patch that is tested with the stored secrets, and not saved."""


class Target(Body):
    """The body of DELETE in the form that names the id there."""

    model_config = ConfigDict(extra="ignore")

    id: uuid.UUID | None = None


class Rotation(Body):
    """The body of POST /integrations/{id}/rotate-secret."""

    name: str | None = None
    """Which secret; may be left out where there is only one."""
    grace_seconds: Whole = Field(86_400, ge=0, le=604_800)
    """How long the old one stays in use beside the new one: a day unless told, a week at most."""


class IntegrationFilters(PageQuery):
    """Which integrations are listed."""

    id: uuid.UUID | None = None
    """Read this one; the reply is `{integration}`."""
    organization_id: uuid.UUID | None = None
    """Only this organization's."""
    integration_type: Text | None = None
    """Only of this type; `lora` is every LoRaWAN type."""
    status: Status | None = None
    """Only those that are `active`, `inactive` or `error`."""


class Named(Query):
    """Which integration, where the path does not say it."""

    id: uuid.UUID | None = None
    """Which integration; or `id` in the body."""


class ActivityFilters(PeriodQuery):
    """Which of what happened is listed."""

    kind: Text | None = None
    """Only of this kind, such as `session.failed` or `alert.resolved`."""
    level: Level | None = None
    """Only of this level."""


class Health(TypedDict):
    """How an integration is doing, worked out from what happened: `reason` says why, `since` since when."""

    state: Literal["waiting", "healthy", "degraded", "failing", "silent", "off"]
    reason: str
    since: Moment
    last_message_at: Moment | None
    last_delivered_at: Moment | None
    last_success_at: Moment | None
    last_error_at: Moment | None
    last_error: str | None
    consecutive_failures: int
    pending: int
    """Deliveries still to come, counted up to 10,000."""
    dead: int
    """Dead letters, counted up to 10,000."""
    oldest_due_at: Moment | None
    open_alerts: int
    messages_24h: int
    """Messages of the last 24 hours, by whole hours."""
    lag: int | None
    """Records that are still to be read, where the other side says how many."""


class Scheduler(TypedDict):
    """Whether anybody looks for what is due: `silent` once none has for 4 minutes, `partial` where one part has not."""

    state: Literal["running", "partial", "silent", "never"]
    last_seen_at: Moment | None
    parts: dict[str, Moment]


class Integration(TypedDict):
    """One integration: `config` without its secrets, and the names of the secrets that are set."""

    id: Uuid
    organization_id: Uuid
    integration_type: str
    name: str
    status: Status
    config: dict[str, object]
    secrets: list[str]
    device_count: int
    last_sync_at: Moment | None
    sync_status: str | None
    error_message: str | None
    created_at: Moment
    created_by: Uuid | None
    updated_at: Moment
    health: Health


OneIntegration = TypedDict("OneIntegration", {"integration": Integration})


class CreatedIntegration(OneIntegration):
    """The new integration, and the secrets that were made for it, which are shown this once."""

    generated: NotRequired[dict[str, str]]


class IntegrationPage(TypedDict):
    """One page of them, and whether anybody looks for what they have to do."""

    integrations: list[Integration]
    next_cursor: str | None
    scheduler: Scheduler


class IntegrationType(TypedDict):
    """One kind of integration: what it can do, and the JSON Schema of its config."""

    type: str
    label: str
    docs: str
    capabilities: list[
        Annotated[str, WithJsonSchema({"enum": [each.capability for each in MIXINS], "type": "string"})]
    ]
    config_schema: dict[str, object]


class Catalogue(TypedDict):
    """Every integration type there is."""

    types: list[IntegrationType]


class Verdict(TypedDict):
    """A connection test: `ok` when every step is; the first step that fails is the last."""

    ok: bool
    checks: list[Check]


class ActivityRow(TypedDict):
    """One thing that happened to an integration."""

    id: int
    organization_id: Uuid
    integration_id: Uuid
    kind: str
    level: Level
    message: str
    details: dict[str, object]
    created_at: Moment


ActivityPage = TypedDict("ActivityPage", {"activity": list[ActivityRow], "next_cursor": str | None})


def _parse_config_string(text: Any) -> dict[str, object]:
    try:
        config = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        config = None
    if not isinstance(config, dict):
        raise ValueError("api_key_encrypted must be the config as a JSON object in a string")  # noqa: TRY004 - pydantic's way
    return config
