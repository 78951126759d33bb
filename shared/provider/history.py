"""History: what devices have said before, as the other side has kept it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from shared.provider.base import Capability
from shared.provider.batch import Batch
from shared.runtime.deadline import Deadline


class Historian(Capability):
    """A provider whose past messages can be read back."""

    capability: ClassVar[str] = "history"
    lacking: ClassVar[str] = "history"

    @abstractmethod
    def history(
        self, begin: datetime, end: datetime, state: Mapping[str, object], deadline: Deadline
    ) -> Iterator[Batch]:
        """What devices have said from `begin` until before `end`, as the other side has kept it.

        Each batch has a `state` that goes on after it; its `until` is the moment before which all has been read.
        """
