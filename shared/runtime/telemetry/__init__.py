"""Traces and metrics of this process, by OpenTelemetry where the operator has a collector, else nothing at all.

`observe` is all that others use. Without OTEL_EXPORTER_OTLP_ENDPOINT nothing of OpenTelemetry is imported, and it costs
a function call. No span has a URL, a header, a body or the words of an error: names, counts and codes only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Literal

from shared.runtime.settings import load_settings

if TYPE_CHECKING:
    from shared.runtime.telemetry.sdk import Observed, Telemetry

Signal = Literal["server", "client", "db", "batch", "delivery"]
Value = str | int | float
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NOTHING: AbstractContextManager[None] = nullcontext()


def observe(
    signal: Signal,
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
) -> AbstractContextManager[Observed | None]:
    """A span around what is in the `with`, and its duration in the histogram of its signal; None where none is kept.

    `parent` and `links` are traceparents; without a parent it belongs to what is observed around it.
    """
    telemetry = load_telemetry()
    return telemetry.observe(signal, name, attributes or {}, parent, links) if telemetry else _NOTHING


@cache
def load_telemetry() -> Telemetry | None:
    """This process's, begun at first use, for none outlives a fork; None where the operator wants none."""
    if not load_settings().otel_exporter_otlp_endpoint:
        return None
    from shared.runtime.telemetry.sdk import Telemetry

    return Telemetry()


def read_traceparent(text: object) -> str | None:
    """`text` where it is a traceparent of version 00 (W3C Trace Context), else None."""
    return text if isinstance(text, str) and _TRACEPARENT.fullmatch(text) else None


def find_traceparent(observed: Observed | None, brought: object) -> str | None:
    """What goes on with the work: the trace it is observed in, else the one that it brought."""
    return observed.traceparent if observed else read_traceparent(brought)
