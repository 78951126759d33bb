"""Sessions of a GraphQL integration without a platform, and what its API and config look like in tests."""

from __future__ import annotations

import threading
from typing import Any, Self

from shared.provider import Deadline, Identity, Poller, load_provider, require
from shared.providers.graphql import Graphql
from tests.fakes.mqtt_driver import INTEGRATION, SECONDS, Ledger

ORGANIZATION = "00000000-0000-4000-8000-000000000001"
READ = {
    "query": "query ($cursor: Int) { readings(after: $cursor) { id device temperature } }",
    "query_cursor": "readings[-1].id",
}
LIVE = {"subscription": "subscription { readingAdded { id device temperature } }"}
STREAM = {
    "subscription": "subscription ($cursor: Int) { readings_stream(cursor: $cursor) { id device temperature } }",
    "subscription_cursor": "readings_stream[-1].id",
}


def make_graphql(url: str, **config: Any) -> Graphql:
    """The provider of an integration with the API at `url`."""
    identity = Identity(ORGANIZATION, INTEGRATION, "graphql")
    return require(load_provider({"endpoint": url} | config, identity), Graphql)


def make_reading(number: int, **more: Any) -> dict[str, Any]:
    """A reading with that id."""
    return {"id": number, "device": f"d{number % 3}", "temperature": number / 10} | more


def make_readings(count: int, first: int = 0) -> list[dict[str, Any]]:
    """So many, from that id on."""
    return [make_reading(number) for number in range(first, first + count)]


def list_ids(ledger: Ledger) -> list[int]:
    """The ids of the readings that are stored, sorted."""
    return sorted(message.payload["id"] for message in ledger.stored.values() if message.payload)


class Session:
    """One session in a thread of its own, which commits at once. Use it in a `with`: its end is the session's.

    What the session raises is raised there.
    """

    def __init__(self, ledger: Ledger, provider: Poller) -> None:
        self._ledger, self._provider = ledger, provider
        self._deadline = Deadline(SECONDS)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._deadline.shorten()
        self._thread.join(SECONDS)
        assert kind or not self._thread.is_alive(), "the session does not end"
        if self._failure and not kind:
            raise self._failure

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with self._ledger.open_session(self._provider, self._deadline) as batches:
                for batch in batches:
                    self._ledger.commit(batch)
        except Exception as error:  # noqa: BLE001 - whoever waits for the session raises it
            self._failure = error
