"""What to set to bring a new key in. Existing keys are never printed: the texts refer to the value they are in."""

from __future__ import annotations

import re
from collections.abc import Sequence

ID_LIMIT = 32

FIRST_KEY = """\
No key ring was found here, so this is a first key. Where the functions have one already, run this again with their
environment: what is sealed with the ring they have opens with no other.

Set this for every function and restart them:
  INTEGRATION_KEYS="{entry}"
or keep it in Supabase Vault, where each function with SUPABASE_SERVICE_ROLE_KEY reads it once at its start:
  select vault.create_secret('{entry}', 'integration_keys');
"""

NEXT_KEY = """\
{key_id} is made, and shown only here. {holder}
1. Put it last and restart every function, so that all of them can open what it seals:
{last}
2. Then put it first and restart again: from now on {key_id} seals what is saved, and every tick of the scheduler
   re-seals some of the rest (scripts/rotate-keys reseal does it at once):
{first}
3. When scripts/rotate-keys status shows no integration under the old keys, take them out and restart.
"""

_HELD_BY_VARIABLE = "$INTEGRATION_KEYS stands for the value the functions have now."
_HELD_BY_VAULT = "The key ring is in Supabase Vault; run these there."
_IN_VAULT = "from vault.decrypted_secrets where name = 'integration_keys';"


def choose_key_id(key_ids: Sequence[str]) -> str:
    """The next id after those of a ring, the primary first: k1, k2 …"""
    stem, _ = _split_number(key_ids[0]) if key_ids else ("k", 0)
    numbers = [number for other, number in map(_split_number, key_ids) if other == stem]
    chosen = f"{stem}{max(numbers, default=0) + 1}"
    return chosen if len(chosen) <= ID_LIMIT else choose_key_id(["k0", *key_ids])


def describe_first(entry: str) -> str:
    """How to set the first key there is."""
    return FIRST_KEY.format(entry=entry)


def describe_next(entry: str, *, in_vault: bool) -> str:
    """How to bring another key into a ring, by way of every function knowing it before it seals."""
    if in_vault:
        holder = _HELD_BY_VAULT
        last = f"  select vault.update_secret(id, decrypted_secret || ',{entry}') {_IN_VAULT}"
        first = f"  select vault.update_secret(id, '{entry},' || replace(decrypted_secret, ',{entry}', '')) {_IN_VAULT}"
    else:
        holder = _HELD_BY_VARIABLE
        last = f'  INTEGRATION_KEYS="$INTEGRATION_KEYS,{entry}"'
        first = f'  INTEGRATION_KEYS="{entry},$INTEGRATION_KEYS"'
    return NEXT_KEY.format(key_id=entry.partition(":")[0], holder=holder, last=last, first=first)


def _split_number(key_id: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(\d{1,9})", key_id)
    return (found[1], int(found[2])) if found else (f"{key_id}-", 1)
