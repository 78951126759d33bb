"""Sessions with APIs that say what a script says, over each connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.provider import OutsideError
from tests.fakes.graphql.driver import LIVE, Session, make_graphql
from tests.fakes.graphql.raw import Peer, RawServer
from tests.fakes.mqtt_driver import Ledger
from tests.waiting import wait_until

Script = Callable[[Peer], None]


def fail(script: Script, *, protocol: str = "transport-ws", **config: Any) -> tuple[OutsideError, RawServer]:
    """What a session over connections like this ends with."""
    with RawServer(script) as server, pytest.raises(OutsideError) as raised:
        Ledger().watch(make_graphql(server.url, **LIVE, protocol=protocol, **config), 60)
    return raised.value, server


def listen(script: Script, count: int, *, protocol: str = "transport-ws", **config: Any) -> Ledger:
    """What a session over a connection like this stores, once there is so much of it."""
    ledger = Ledger()
    with RawServer(script) as server:
        graphql = make_graphql(server.url, **LIVE, protocol=protocol, **config)
        with Session(ledger, graphql):
            wait_until(lambda: len(ledger.stored) >= count, f"{len(ledger.stored)} of {count} came")
    return ledger
