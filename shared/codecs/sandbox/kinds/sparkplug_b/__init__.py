"""Sparkplug B: metrics with the names that births have told, births and deaths as the state of devices.

A device is `group/edge` or `group/edge/device`. Where a birth was missed or a message is missing, a rebirth is asked
for: a downlink to the edge node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from shared.codecs.sandbox.format import Format, Parsed, read_json
from shared.codecs.sandbox.kinds.sparkplug_b.metrics import make_payload, read_head, read_metric
from shared.codecs.sandbox.kinds.sparkplug_b.nodes import find_node
from shared.codecs.sandbox.kinds.sparkplug_b.reading import Reading, Topic
from shared.codecs.sandbox.kinds.sparkplug_b.schema import Payload
from shared.codecs.sandbox.program import Body, CodecError

_TOPIC = re.compile(r"spBv1\.0/([^/]+)/([ND](?:BIRTH|DEATH|DATA|CMD))/([^/]+)(?:/([^/]+))?")
_STATE = re.compile(r"spBv1\.0/STATE/[^/]+")


class Kind(Format):
    """Metrics by name in messages; data are all metrics with types, times and properties."""

    label = "Sparkplug B"

    def read(self, body: Body) -> Parsed:
        """A payload by its topic. CodecError for what is none; an alias that no birth has told is an error."""
        if body.topic and _STATE.fullmatch(body.topic):
            return Parsed(read_json(body.content), messages=[])
        found = _TOPIC.fullmatch(body.topic or "")
        if body.topic and not found:
            raise CodecError("The topic is not Sparkplug B's: spBv1.0/<group>/<type>/<edge node>[/<device>].")
        payload = _parse(body.content)
        if not found:
            return _read_alone(payload)
        group, kind, edge, device = found.groups(default="")
        return Reading(Topic(group, kind, edge, device), payload, find_node(self.state, group, edge)).finish()

    def write(self, data: Any, /) -> bytes:
        """A payload with metrics: `{"name": value}`, or `{"metrics": [{"name", "value", "datatype"?}]}`."""
        return make_payload(_list_metrics(data))


def _parse(content: bytes) -> Any:
    try:
        return Payload.FromString(content)
    except DecodeError as error:
        raise CodecError(f"Not a Sparkplug B payload: {str(error)[:300]}.") from None


def _read_alone(payload: Any) -> Parsed:
    metrics = [
        read_metric(metric, metric.name or f"alias {metric.alias}", metric.datatype)
        for metric in payload.metrics
    ]
    return Parsed(
        {**read_head(payload), "metrics": metrics}, warnings=("Without a topic no device is known.",)
    )


def _list_metrics(data: Any) -> list[Any]:
    if not isinstance(data, Mapping) or not data:
        raise CodecError('A Sparkplug B payload is made of an object such as {"Output/1": true}.')
    listed = data.get("metrics")
    return (
        listed
        if isinstance(listed, list)
        else [{"name": name, "value": value} for name, value in data.items()]
    )
