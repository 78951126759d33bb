"""What one session did, kept as `device_integrations.last_session`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.provider.base import Batch


@dataclass(slots=True)
class Summary:
    """Counts the batches of one session as they are committed."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)
    connect_ms: float | None = None
    batches: int = 0
    received_bytes: int = 0
    warnings: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        """Count what is committed."""
        self.batches += bool(batch.messages)
        self.received_bytes += batch.received_bytes
        self.warnings += sum(note.level == "warning" for note in batch.notes)
        self.refused += [note.message for note in batch.notes if note.level == "error"]

    def describe(self, counts: Mapping[str, int]) -> dict[str, Any]:
        """As JSON; `counts` are the sums of what `ingest_messages` answered. `refused` is there where anything was."""
        summary = {
            "started_at": self.started_at,
            "seconds": round(time.monotonic() - self.begun, 3),
            "connect_ms": self.connect_ms,
            "batches": self.batches,
            "messages": counts.get("received", 0),
            "bytes": self.received_bytes,
            "duplicates": counts.get("duplicates", 0),
            "rejected": counts.get("failed", 0),
            "warnings": self.warnings,
        }
        return summary | ({"refused": " ".join(self.refused)} if self.refused else {})
