"""Change the key that seals credentials, while everything runs.

Reads the functions' environment: SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY, and INTEGRATION_KEYS unless the keys are in
Supabase Vault. For the local stack: set -a; . .local/functions.env; set +a
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn
from rich.table import Table

from scripts.rotation.advice import choose_key_id, describe_first, describe_next
from shared.integrations.resealing import reseal_all
from shared.runtime.database.client import as_service
from shared.runtime.errors import Problem
from shared.runtime.settings import load_settings
from shared.runtime.vault.keys import make_key, read_keys
from shared.runtime.vault.ring import load_vault

PASSES = 5
"""A row that was just being changed is met again by the next pass."""

console = Console()
errors = Console(stderr=True)


def main() -> int:
    """The command line; 0 when done, 1 when something stays to be done, 130 when interrupted."""
    options = _read_options()
    try:
        return int(options.run(options))
    except (Problem, RuntimeError) as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        errors.print("Stopped. What is done stays done; run it again to go on.")
        return 130


def make_new_key(_: argparse.Namespace) -> int:
    """Print a new key and how to bring it in."""
    key_ids = load_vault().key_ids if _has_ring() else ()
    entry = make_key(choose_key_id(key_ids))
    in_vault = not load_settings().integration_keys.strip()
    text = describe_next(entry, in_vault=in_vault) if key_ids else describe_first(entry)
    console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
    return 0


def show_status(_: argparse.Namespace) -> int:
    """Show which keys are in the ring, and how many integrations each has sealed."""
    counts, key_ids = count_sealed(), load_vault().key_ids
    place = "INTEGRATION_KEYS" if load_settings().integration_keys.strip() else "Supabase Vault"
    table = Table(
        "key", "use", "integrations", title=f"Keys in {place}, the first seals", title_justify="left"
    )
    for key_id in (*key_ids, *sorted(set(counts) - set(key_ids))):
        table.add_row(key_id, describe_use(key_id, key_ids), str(counts[key_id]))
    console.print(table)
    stale = counts.total() - counts[key_ids[0]]
    console.print(
        f"{stale} to re-seal: a part with every tick of the scheduler, or all now with scripts/rotate-keys reseal."
        if stale
        else f"Everything is sealed with {key_ids[0]}; other keys can be taken out.",
        highlight=False,
    )
    return 0


def reseal_now(options: argparse.Namespace) -> int:
    """Seal everything anew with the primary key."""
    counts, key_ids = count_sealed(), load_vault().key_ids
    doubts = list_doubts(counts, key_ids)
    if doubts and not options.yes and not _confirm(doubts):
        return 1
    total: Counter[str] = Counter()
    for _ in range(PASSES):
        counts = _reseal_with_progress(count_sealed(), key_ids[0])
        total.update(resealed=counts["resealed"])
        if counts["met"] <= counts["resealed"] + counts["unopened"]:
            break
    console.print(f"{total['resealed']} re-sealed with {key_ids[0]}.", highlight=False)
    if counts["unopened"]:
        errors.print(f"{counts['unopened']} do not open; each shows status error and why.", highlight=False)
    return 1 if counts["unopened"] else 0


def count_sealed() -> Counter[str]:
    """How many integrations are sealed with each key."""
    rows = as_service().call("count_sealed")
    return Counter({row["key_id"]: row["integrations"] for row in rows})


def describe_use(key_id: str, key_ids: tuple[str, ...]) -> str:
    """What a key is for."""
    if not key_id:
        return "not sealed: can't be opened"
    if key_id not in key_ids:
        return "missing: can't be opened"
    return "seals and opens" if key_id == key_ids[0] else "opens"


def list_doubts(counts: Counter[str], key_ids: tuple[str, ...]) -> list[str]:
    """Why a person should think again before everything is sealed with the primary key of this ring."""
    primary, missing = key_ids[0], sorted(set(counts) - {"", *key_ids})
    doubts = []
    if counts and not counts[primary]:
        doubts.append(
            f"Nothing is sealed with {primary} yet. A function that runs without it can't open what is re-sealed: "
            "all of them have to be restarted with this key ring first."
        )
    if missing:
        doubts.append(f"Not in this key ring: {', '.join(missing)}. What they sealed will show status error.")
    return doubts


def _reseal_with_progress(counts: Counter[str], primary: str) -> Counter[str]:
    total: Counter[str] = Counter()
    with Progress(*Progress.get_default_columns()[:-1], TimeRemainingColumn(), console=errors) as progress:
        task = progress.add_task("Re-sealing", total=counts.total() - counts[primary])
        for batch in reseal_all(as_service()):
            total.update(batch)
            progress.advance(task, batch["met"])
    return total


def _confirm(doubts: list[str]) -> bool:
    for doubt in doubts:
        errors.print(doubt, highlight=False, soft_wrap=True)
    if not sys.stdin.isatty():
        errors.print("Nothing was done; --yes goes on all the same.")
        return False
    return console.input("Go on? [y/N] ", markup=False).strip().lower() in {"y", "yes"}


def _has_ring() -> bool:
    try:
        return bool(read_keys())
    except RuntimeError:
        return False


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/rotate-keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run in (("status", show_status), ("new-key", make_new_key), ("reseal", reseal_now)):
        command = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        command.set_defaults(run=run)
        if run is reseal_now:
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
