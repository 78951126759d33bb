"""Key rotation: stored credentials sealed anew with the primary key, in batches.

Safe to interrupt, to run twice and beside running functions: each batch is one transaction, a row changed meanwhile
keeps its change, and what is re-sealed is no change to anyone who works by it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from shared.integrations.sealing import SealedIntegration, reseal_secrets
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import VaultError
from shared.runtime.log import get_log
from shared.runtime.vault.ring import load_vault

BATCH_ROWS = 100
TICK_BATCHES = 10
FIRST = str(uuid.UUID(int=0))


def reseal_all(database: Database, after: str = FIRST) -> Iterator[Counter[str]]:
    """Re-seal what the primary key has not sealed, in the order of ids from `after` on; the counts of each batch.

    `resealed`, `unopened` (told to the integration's admin), `met` (all, those changed meanwhile too).
    """
    primary = load_vault().key_ids[0]
    while rows := _read_batch(database, primary, after):
        after = rows[-1]["id"]
        yield _reseal_batch(database, rows)


def reseal_some(database: Database, deadline: Deadline) -> dict[str, int]:
    """A bounded part of it, for one tick: `resealed` and `unopened`."""
    counts = Counter(resealed=0, unopened=0)
    try:
        # Begun anywhere, so that many that don't open never keep the others from their turn.
        batches = chain(reseal_all(database, str(uuid.uuid4())), reseal_all(database))
        for batch in islice(batches, TICK_BATCHES):
            counts.update(resealed=batch["resealed"], unopened=batch["unopened"])
            if deadline.expired:
                break
    except RuntimeError as error:
        # Integrations without secrets need no key: their tick goes on without one.
        get_log().warning("nothing was re-sealed", detail=str(error))
    return dict(counts)


def _read_batch(database: Database, primary: str, after: str) -> list[SealedIntegration]:
    rows: list[SealedIntegration] = database.call(
        "read_stale_seals", p_key_id=primary, p_after=after, p_limit=BATCH_ROWS
    )
    return rows


def _reseal_batch(database: Database, rows: list[SealedIntegration]) -> Counter[str]:
    seals, failures = [], []
    for row in rows:
        try:
            seals.append(_name_row(row) | reseal_secrets(row))
        except VaultError as error:
            failures.append(_name_row(row) | {"error": error.detail})
    resealed = database.call("replace_seals", p_seals=seals) if seals else 0
    if failures and database.call("explain_unopened", p_failures=failures):
        get_log().warning("some credentials do not open", integrations=len(failures))
    return Counter(met=len(rows), resealed=resealed, unopened=len(failures))


def _name_row(row: SealedIntegration) -> dict[str, object]:
    return {"id": row["id"], "seal_count": row["seal_count"]}
