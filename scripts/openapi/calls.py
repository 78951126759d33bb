"""Every call there is, by path and method."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from scripts.openapi.firmware import FIRMWARE_OF_ONE
from scripts.openapi.fleet import FLEET
from scripts.openapi.following import COMMANDS, FOLLOWING_ONE
from scripts.openapi.headers import LIMITS, LOCATION, REPLAYED, TAG
from scripts.openapi.operation import PAGE, Operation, in_header, in_query
from scripts.openapi.problems import ADMINS_ONLY, ALWAYS, NAMING_ONE, READING_BODY
from scripts.openapi.pushed import PUSHED
from scripts.openapi.reaching import REACHING_ONE
from shared.runtime.errors import (
    BadRequest,
    Conflict,
    IdempotencyMismatch,
    InvalidConfig,
    NotSupported,
    PreconditionFailed,
    RateLimited,
    VaultError,
)

COLLECTION, ONE = "/integrations", "/integrations/{id}"

_LIMITED = (*ALWAYS, *ADMINS_ONLY, BadRequest, RateLimited)
_DELETE = (*_LIMITED, PreconditionFailed)
_WRITE = (*_LIMITED, *READING_BODY, Conflict, InvalidConfig, VaultError)
_CHANGE = (*_WRITE, PreconditionFailed)
_TEST = (*_LIMITED, InvalidConfig, NotSupported, VaultError)

_QUERY_ID = in_query("id", "Which integration; or `id` in the body.", format="uuid")
_IF_MATCH = in_header("If-Match", "The ETag you read: 412 where somebody has changed it since.")
_IF_NONE_MATCH = in_header("If-None-Match", "The ETag you have: 304 where nothing has changed since.")
_KEY = in_header(
    "Idempotency-Key",
    "Send the same key when you send the same request again, and it is carried out once. Kept for 24 hours.",
    pattern="^[!-~]{1,253}$",
)


def _link(name: str) -> dict[str, Any]:
    return {"operationId": name, "parameters": {"path.id": "$response.body#/integration/id"}}


_LINKS = {
    name: _link(name)
    for name in (
        "getIntegration",
        "changeIntegration",
        "testIntegration",
        "deleteIntegration",
        "listDeliveries",
        "listActivity",
        "listRollouts",
        "beginJob",
        "listConflicts",
    )
}

_COLLECTION_CALLS = {
    "get": Operation(
        "listIntegrations",
        "List integrations, newest first; or read one by its id",
        (*ALWAYS, *NAMING_ONE),
        reply=("IntegrationPage", "OneIntegration"),
        parameters=(
            in_query("id", "Read this one; the reply is `{integration}`.", format="uuid"),
            in_query("organization_id", "Only this organization's.", format="uuid"),
            in_query("integration_type", "Only of this type."),
            in_query("status", "Only those that are `active`, `inactive` or `error`."),
            *PAGE,
            _IF_NONE_MATCH,
        ),
        not_modified=True,
    ),
    "post": Operation(
        "createIntegration",
        "Create an integration",
        (*_WRITE, IdempotencyMismatch),
        reply=("CreatedIntegration",),
        status=HTTPStatus.CREATED,
        body="NewIntegration",
        parameters=(_KEY,),
        headers=LOCATION | TAG | LIMITS | REPLAYED,
        links=_LINKS,
    ),
    "patch": Operation(
        "changeIntegrationById",
        "Change the integration whose id is in the query or the body",
        _CHANGE,
        reply=("OneIntegration",),
        body="ChangedIntegrationById",
        parameters=(_QUERY_ID, _IF_MATCH),
        headers=TAG | LIMITS,
    ),
    "delete": Operation(
        "deleteIntegrationById",
        "Delete the integration whose id is in the query or the body",
        (*_DELETE, *READING_BODY, Conflict),
        status=HTTPStatus.NO_CONTENT,
        body="Target",
        body_required=False,
        parameters=(_QUERY_ID, _IF_MATCH),
        headers=LIMITS,
    ),
}
_ONE_CALLS = {
    "get": Operation(
        "getIntegration",
        "Read one integration",
        (*ALWAYS, *NAMING_ONE),
        reply=("OneIntegration",),
        parameters=(_IF_NONE_MATCH,),
        headers=TAG,
        not_modified=True,
    ),
    "patch": Operation(
        "changeIntegration",
        "Change an integration",
        _CHANGE,
        reply=("OneIntegration",),
        body="ChangedIntegration",
        parameters=(_IF_MATCH,),
        headers=TAG | LIMITS,
    ),
    "delete": Operation(
        "deleteIntegration",
        "Delete an integration",
        _DELETE,
        status=HTTPStatus.NO_CONTENT,
        parameters=(_IF_MATCH,),
        headers=LIMITS,
        description="Its devices and telemetry stay; its pending deliveries are cancelled.",
    ),
}
_TEST_SAVED = Operation(
    "testIntegration",
    "Test the connection of a saved integration",
    _TEST,
    reply=("Verdict",),
    headers=LIMITS,
)
_ROTATE = Operation(
    "rotateSecret",
    "Make a secret anew and show it once; the old one stays in use for the grace period",
    (*_CHANGE, NotSupported),
    reply=("CreatedIntegration",),
    body="Rotation",
    body_required=False,
    parameters=(_IF_MATCH,),
    headers=TAG | LIMITS,
)
_TEST_UNSAVED = Operation(
    "testConfig",
    "Test a config before it is saved",
    (*_TEST, *READING_BODY),
    reply=("Verdict",),
    body="UnsavedIntegration",
    headers=LIMITS,
)
_CATALOGUE = Operation("listTypes", "The catalogue of integration types", ALWAYS, reply=("Catalogue",))
_TICK = Operation(
    "runScheduler",
    "Run one tick, answered when it ends",
    (*ALWAYS, *READING_BODY),
    reply=("TickReport",),
    body="Tick",
    body_required=False,
    security=({"scheduler_secret": []}, {"service_key": []}),
)

CALLS: dict[str, dict[str, Operation]] = {
    COLLECTION: _COLLECTION_CALLS,
    "/integrations/types": {"get": _CATALOGUE},
    "/integrations/test": {"post": _TEST_UNSAVED},
    ONE: _ONE_CALLS,
    f"{ONE}/test": {"post": _TEST_SAVED},
    f"{ONE}/rotate-secret": {"post": _ROTATE},
    **{
        f"{ONE}/{path}": calls
        for path, calls in (FOLLOWING_ONE | REACHING_ONE | FIRMWARE_OF_ONE | FLEET).items()
    },
    **COMMANDS,
    **PUSHED,
    "/scheduler": {"post": _TICK},
}
"""Path → method → operation."""
