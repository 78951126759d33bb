"""Structured logs: one JSON object a line on standard error, with the request id where there is one.

Nothing logs a body, a header or a config: callers pass names, ids, counts and durations only.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import orjson
import structlog


@cache
def get_log() -> structlog.typing.FilteringBoundLogger:
    """The process's logger; `bind_log` adds what every later line of this request should carry."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
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


def _write_json(event: dict[str, Any], **_: Any) -> bytes:
    return orjson.dumps(event, default=str)
