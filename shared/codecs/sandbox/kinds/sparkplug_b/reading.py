"""One Sparkplug B payload with its topic: what it says, what is to be warned of, if a rebirth is to be asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.codecs.sandbox.format import Parsed
from shared.codecs.sandbox.kinds.sparkplug_b.metrics import (
    find_birth_number,
    make_payload,
    read_head,
    read_metric,
)
from shared.codecs.sandbox.kinds.sparkplug_b.nodes import Node

BIRTHS, DEATHS, DATA = ("NBIRTH", "DBIRTH"), ("NDEATH", "DDEATH"), ("NDATA", "DDATA")
REBIRTH = "Node Control/Rebirth"


class Topic(NamedTuple):
    """Who speaks, and of what kind the message is."""

    group: str
    kind: str
    edge: str
    device: str

    @property
    def name(self) -> str:
        """The device's id in the outside."""
        return "/".join(filter(None, (self.group, self.edge, self.device)))


class Reading:
    """One payload with a topic: what it says, and what is to be said of it."""

    def __init__(self, topic: Topic, payload: Any, node: Node) -> None:
        self._topic, self._payload, self._node = topic, payload, node
        self._warnings: list[str] = []
        self._errors: list[str] = []
        self._asks = False

    def finish(self) -> Parsed:
        """All of it; what births tell is kept in the node."""
        kind = self._topic.kind
        if kind in BIRTHS:
            self._take_birth()
        elif kind in DATA or kind == "DDEATH":
            self._check_sequence()
        metrics = self._read_metrics()
        messages = (
            self._make_deaths()
            if kind in DEATHS
            else []
            if kind.endswith("CMD")
            else self._make_messages(metrics)
        )
        document = {"topic": self._topic._asdict(), **read_head(self._payload), "metrics": metrics}
        return Parsed(
            document, messages, tuple(self._warnings), tuple(self._errors), tuple(self._ask_rebirth())
        )

    def _take_birth(self) -> None:
        if self._topic.kind == "NBIRTH":
            self._node.begin(find_birth_number(self._payload), self._payload.seq)
        else:
            self._check_sequence()
            self._node.add_device(self._topic.device)
        for metric in self._payload.metrics:
            self._node.learn(self._topic.device, metric)

    def _check_sequence(self) -> None:
        if not self._node.is_known:
            self._asks = True
        if self._payload.HasField("seq") and not self._node.follow(self._payload.seq):
            self._warnings.append("The sequence number does not follow the last one: messages are missing.")
            self._asks = True

    def _read_metrics(self) -> list[dict[str, Any]]:
        metrics = []
        for metric in self._payload.metrics:
            name = self._node.find_name(metric)
            if name is None:
                self._errors.append(
                    f"No birth has told the name of alias {metric.alias}; a rebirth is asked for."
                )
                self._asks = True
                break
            metrics.append(
                read_metric(metric, name, metric.datatype or self._node.find_type(self._topic.device, name))
            )
        return metrics

    def _make_messages(self, metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """One for each time, as devices that were offline send what they had kept."""
        messages: dict[Any, dict[str, Any]] = {}
        for metric in metrics:
            when = metric.get("timestamp") or self._payload.timestamp or None
            message = messages.setdefault(when, {"device": self._topic.name, "time": when, "payload": {}})
            message["payload"][metric["name"]] = metric["value"]
        made = list(messages.values())
        if made and self._topic.kind in BIRTHS:
            made[-1]["status"] = "online"
        return made

    def _make_deaths(self) -> list[dict[str, Any]]:
        if self._topic.kind == "DDEATH":
            self._node.remove_device(self._topic.device)
            return [_make_death(self._topic.name)]
        number = find_birth_number(self._payload)
        if self._node.birth_number is not None and number != self._node.birth_number:
            self._warnings.append("The death belongs to an earlier birth; it is ignored.")
            return []
        return [
            _make_death("/".join((self._topic.name, *device)))
            for device in ((), *((one,) for one in self._node.devices))
        ]

    def _ask_rebirth(self) -> Iterator[dict[str, Any]]:
        if self._asks and self._node.may_ask(time.time()):
            payload = make_payload([{"name": REBIRTH, "value": True, "datatype": "Boolean"}])
            topic = f"spBv1.0/{self._topic.group}/NCMD/{self._topic.edge}"
            yield {"topic": topic, "hex": payload.hex()}


def _make_death(device: str) -> dict[str, Any]:
    return {"device": device, "kind": "state", "status": "offline", "payload": {"status": "offline"}}
