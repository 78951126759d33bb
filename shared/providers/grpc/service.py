"""A service that is connected to and whose descriptors are known."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from shared.provider import Deadline
from shared.providers.grpc.channel import Channel
from shared.providers.grpc.descriptors import Method, Schema
from shared.providers.grpc.failures import refuse_config
from shared.providers.grpc.plan import ServicePlan
from shared.providers.grpc.reflection import ask_schema

FRESH_SECONDS = 300.0
MOST_REMEMBERED = 32
"""Services whose answer to reflection this process remembers, for commands."""

_Key = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Service:
    """The connection, and what the service has."""

    channel: Channel
    schema: Schema

    def find_method(self, field: str, name: str) -> Method:
        """The method that a field names; InvalidConfig where there is none."""
        try:
            return self.schema.find_method(name)
        except ValueError as error:
            raise refuse_config(field, error, self.channel.secrets) from None


@contextmanager
def open_service(
    plan: ServicePlan, deadline: Deadline, methods: Sequence[str], *, may_remember: bool = False
) -> Iterator[Service]:
    """Connect and learn of these methods. `may_remember`: whether an answer of the last minutes will do.

    Errors: OutsideError, InvalidConfig.
    """
    with Channel(plan, deadline) as channel:
        yield Service(channel, find_schema(channel, plan, methods, may_remember=may_remember))


def find_schema(
    channel: Channel, plan: ServicePlan, methods: Sequence[str], *, may_remember: bool = False
) -> Schema:
    """What was uploaded, else what the service says of itself."""
    try:
        if plan.descriptor_set is not None:
            return Schema.from_set(plan.descriptor_set)
        key = (plan.owner, plan.authority, tuple(methods))
        known = _remembered.find(key) if may_remember else None
        if known is None:
            known = ask_schema(channel, plan, methods)
            _remembered.keep(key, known)
    except ValueError as error:
        raise refuse_config("descriptor_set", error, plan.secrets) from None
    return known


def forget_schemas() -> None:
    """Ask anew the next time: what was remembered does not fit any more."""
    _remembered.clear()


class _Schemas:
    """Those of the last minutes; of one organization never another's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, tuple[float, Schema]] = OrderedDict()

    def find(self, key: _Key) -> Schema | None:
        """What was kept lately."""
        with self._lock:
            kept, schema = self._known.get(key, (0.0, None))
            return schema if time.monotonic() - kept < FRESH_SECONDS else None

    def keep(self, key: _Key, schema: Schema) -> None:
        """In place of the oldest, where there are too many."""
        with self._lock:
            self._known[key] = (time.monotonic(), schema)
            self._known.move_to_end(key)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)

    def clear(self) -> None:
        """Nothing."""
        with self._lock:
            self._known.clear()


_remembered = _Schemas()
