"""The providers that a run of the dispatcher sends through: opened once, and again when their row has changed."""

from __future__ import annotations

from shared.deliveries.attempt import name_problem
from shared.integrations.sealing import SealedIntegration, open_provider
from shared.provider import Publisher, Subscriber
from shared.runtime.errors import NotSupported, Problem

KEPT_PROVIDERS = 2000


class OpenProviders:
    """The opened providers of a run, opened again when their row has changed."""

    def __init__(self) -> None:
        self._opened: dict[str, tuple[SealedIntegration, Subscriber | Publisher]] = {}

    def open(self, row: SealedIntegration) -> Subscriber | Publisher | Problem:
        """The provider of an integration's row, or why it can't be used."""
        kept = self._opened.get(row["id"])
        if kept and kept[0] == row:
            return kept[1]
        try:
            provider = open_provider(row)
        except BaseException as error:  # noqa: BLE001 - one integration's defect must not end the others' deliveries
            return name_problem(error)
        if not isinstance(provider, Subscriber | Publisher):
            return NotSupported("Events can't be sent to an integration of this type; remove events from it.")
        if len(self._opened) >= KEPT_PROVIDERS:
            self._opened.clear()
        self._opened[row["id"]] = (row, provider)
        return provider
