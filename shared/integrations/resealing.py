"""Key rotation: where the keys are in Supabase Vault another now and then, and credentials sealed anew, in batches.

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
from shared.runtime.settings import load_settings
from shared.runtime.vault.keys import are_stored, make_key
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


def rotate_keys(database: Database) -> dict[str, int]:
    """The next step of `KEY_ROTATION_DAYS`, of keys in Supabase Vault: one is added, promoted or retired."""
    if not load_settings().key_rotation_days or not are_stored():
        return {}
    step = _rotate(database)
    if "wanted" in step:
        step = _rotate(database, p_entry=make_key(step["wanted"]))
    for what, key_id in step.items():
        get_log().info("a key of the vault was changed", what=what, key_id=key_id)
    return {f"keys_{what}": 1 for what in step}


def _rotate(database: Database, **entry: str) -> dict[str, str]:
    step: dict[str, str] = database.call("rotate_keys", p_days=load_settings().key_rotation_days, **entry)
    return step


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
