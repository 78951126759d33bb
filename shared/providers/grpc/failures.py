"""What a call ends with when it fails, as our own errors in an admin's words, with what google.rpc says of it.

Source: grpc/doc/statuscodes.md, google/rpc/error_details.proto.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shared.provider import (
    ConnectionRefused,
    CredentialsRefused,
    FieldError,
    InvalidConfig,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    is_final_status,
    mask_secrets,
    name_grpc_status,
    translate_grpc_status,
)
from shared.providers.grpc.plan import ServicePlan

DEADLINE_EXCEEDED, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 4, 7, 8
OUT_OF_RANGE, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED = 11, 12, 14, 16
_HTTP = {9: 400, 10: 503, OUT_OF_RANGE: 400, UNIMPLEMENTED: 501}
"""Beside those of `translate_grpc_status`: failed precondition, and aborted, which is to be tried again."""

WORDS_LIMIT = 1_000
DETAILS_BYTES = 16_384
MOST_DETAILS = 10
LONGEST_PAUSE = 86_400.0
DETAILS, PUSHBACK = "grpc-status-details-bin", "grpc-retry-pushback-ms"
_BROKEN = re.compile(
    "stream removed|socket closed|failed to connect|connection reset|broken pipe|goaway|recvmsg|keepalive|endpoint clos"
    "|cancelling all calls",
    re.IGNORECASE,
)
"""What the library says of a call whose connection ended, for which it has no status of its own."""

_TOO_LARGE = "larger than max"


class CursorGone(ProviderRefused):
    """The service has no longer what the cursor is of."""


def explain_call(error: Any, plan: ServicePlan, most_bytes: int) -> OutsideError:
    """What a grpc.RpcError comes to."""
    code, details = error.code().value[0], error.details() or ""
    if code == RESOURCE_EXHAUSTED and _TOO_LARGE in details:
        return ProtocolFailed(
            f"{plan.host} sent a message of more than {most_bytes:,} bytes; let it send less at once."
        )
    trailers = dict(error.trailing_metadata() or ())
    told = list(_explain_details(trailers.get(DETAILS)))
    words = clean_words(" ".join((details, *told)), plan.secrets)
    said = f"{plan.host} answered {name_grpc_status(code)}" + (f": {words}" if words else ".")
    if code in {UNAUTHENTICATED, PERMISSION_DENIED}:
        return CredentialsRefused(said)
    if code == DEADLINE_EXCEEDED:
        return TimedOut(f"{plan.host} did not answer in time.")
    if code == UNAVAILABLE and _BROKEN.search(details):
        return ConnectionRefused(f"The connection to {plan.host} ended" + (f": {words}" if words else "."))
    make = CursorGone if code == OUT_OF_RANGE else ProviderRefused
    return make(
        said, answered=_HTTP.get(code, translate_grpc_status(code)), retry_after=_find_pause(trailers)
    )


def refuse_config(field: str, error: ValueError, secrets: Iterable[str] = ()) -> InvalidConfig:
    """What a field has that only the service could tell to be wrong, which may name what it was given."""
    words = clean_words(f"{error}.", secrets)
    return InvalidConfig(f"{field}: {words}", errors=[FieldError(field, words)])


def is_hopeless(problem: OutsideError) -> bool:
    """Whether another try in a second can't mend it."""
    return isinstance(problem, ProviderRefused) and is_final_status(problem.answered)


def clean_words(words: str, secrets: Iterable[str]) -> str:
    """A stranger's words as they may be shown: cut, on one line, without our secrets."""
    cut = mask_secrets(words[: 2 * WORDS_LIMIT], list(secrets), cut=len(words) > 2 * WORDS_LIMIT)
    line = "".join(each if each.isprintable() else " " for each in cut)
    return " ".join(line.split())[:WORDS_LIMIT]


def _find_pause(trailers: dict[str, Any]) -> float | None:
    """For how many seconds it wants to be left alone."""
    told = trailers.get(PUSHBACK)
    if isinstance(told, str) and told.isascii() and told.isdecimal() and len(told) < 10:  # noqa: PLR2004 - of digits
        return min(int(told) / 1000, LONGEST_PAUSE)
    for name, detail in _list_details(trailers.get(DETAILS)):
        if name == "RetryInfo":
            seconds = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
            return min(max(seconds, 0.0), LONGEST_PAUSE) if math.isfinite(seconds) else None
    return None


def _explain_details(body: Any) -> Iterator[str]:
    """The details of google.rpc.Status in words."""
    for name, detail in _list_details(body):
        if name in {"BadRequest", "QuotaFailure", "PreconditionFailure"}:
            for each in (detail.field_violations if name == "BadRequest" else detail.violations)[
                :MOST_DETAILS
            ]:
                yield f"{each.field if name == 'BadRequest' else each.subject}: {each.description}."
        elif name in _WORDS:
            yield _WORDS[name](detail)


_WORDS: dict[str, Callable[[Any], str]] = {
    "ErrorInfo": lambda detail: (
        f"Reason: {detail.reason}" + (f" ({detail.domain})." if detail.domain else ".")
    ),
    "ResourceInfo": lambda detail: f"{detail.resource_type} {detail.resource_name}: {detail.description}.",
    "LocalizedMessage": lambda detail: str(detail.message),
    "Help": lambda detail: " ".join(f"See {link.url}." for link in detail.links[:MOST_DETAILS]),
}


def _list_details(body: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(body, bytes) or not 0 < len(body) <= DETAILS_BYTES:
        return
    from google.protobuf.message import DecodeError
    from google.rpc import error_details_pb2, status_pb2

    try:
        details = status_pb2.Status.FromString(body).details[:MOST_DETAILS]
    except DecodeError:
        return
    for each in details:
        name = each.type_url.rpartition("/google.rpc.")[2]
        kind = getattr(error_details_pb2, name, None)
        try:
            if kind is not None and hasattr(kind, "FromString"):
                yield name, kind.FromString(each.value)
        except DecodeError:
            continue
