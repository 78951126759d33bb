"""Structured logs: one JSON object a line on standard error, with the request id where there is one.

The fields are those Google's Cloud Logging reads (`severity`, `message`, `timestamp`, and the trace of the request);
any other collector finds them under the same names. Nothing logs a body, a header or a config: callers pass names, ids,
counts and durations only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from functools import cache
from typing import Any

import orjson
import structlog

from shared.runtime.settings import load_settings

TRACE, SPAN, SAMPLED = (f"logging.googleapis.com/{name}" for name in ("trace", "spanId", "trace_sampled"))
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_trace: ContextVar[dict[str, Any] | None] = ContextVar("trace", default=None)


@cache
def get_log() -> structlog.typing.FilteringBoundLogger:
    """The process's logger; `bind_log` adds what every later line of this request should carry."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _name_severity,
            _add_trace,
            structlog.processors.EventRenamer("message"),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_write_json),
        ],
        logger_factory=structlog.BytesLoggerFactory(file=sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log


def bind_log(**values: Any) -> None:
    """Put these on every line of the current request or session."""
    structlog.contextvars.bind_contextvars(**values)


def read_request_id() -> str | None:
    """The id of the request being answered, where there is one."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return request_id if isinstance(request_id, str) else None


def clear_log() -> None:
    """Forget what was bound: a new request begins."""
    structlog.contextvars.clear_contextvars()


def bind_trace(traceparent: str) -> None:
    """Lines of this thread belong to the trace of `traceparent` (W3C Trace Context); malformed or empty, to none."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        _trace.set(None)
        return
    project = load_settings().google_cloud_project
    trace = f"projects/{project}/traces/{found[1]}" if project else found[1]
    _trace.set({TRACE: trace, SPAN: found[2], SAMPLED: bool(int(found[3], 16) & 1)})


def _name_severity(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["severity"] = str(event.pop("level")).upper()
    return event


def _add_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event.update(_trace.get() or {})
    return event


def _write_json(event: dict[str, Any], **_: Any) -> bytes:
    return orjson.dumps(event, default=str)
