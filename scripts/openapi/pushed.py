"""The calls of those who push messages to an integration."""

from __future__ import annotations

from http import HTTPStatus

from scripts.openapi.operation import Operation
from scripts.openapi.problems import ALWAYS
from shared.runtime.errors import RateLimited, TooLarge

_ABOUT = (
    "The body is of any type. What can't be proven, for whatever reason, is answered with the same 401. "
    "Send again what is answered 429 or 503: it is stored once."
)


def _receive(name: str, summary: str) -> Operation:
    return Operation(
        name,
        summary,
        (*ALWAYS, RateLimited, TooLarge),
        reply=("Receipt",),
        status=HTTPStatus.ACCEPTED,
        media_types=("application/json", "application/cloudevents+json", "application/octet-stream"),
        security=({"webhook_secret": []},),
        description=_ABOUT,
    )


PUSHED = {
    "/golioth-webhook/{id}": {
        "post": _receive("receiveGoliothEvents", "Store what a Golioth pipeline pushes")
    },
    "/receive/{id}": {"post": _receive("receiveMessages", "Store what is pushed to an integration")},
}
"""Path → method → operation."""
