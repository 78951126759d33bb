"""No organization makes the calls of another read more: whatever one has, planned for good while there was nothing."""

from __future__ import annotations

import pytest
from psycopg.sql import SQL, Composed, Identifier

from tests.database.estate import read_statements
from tests.database.matrix import FUNCTIONS
from tests.database.neighbour import TIMES, Reads, Small, add_neighbour, open_small
from tests.stack import Stack

CALLS, WRITES = (read_statements("calls.sql", mark) for mark in ("call", "write"))
MORE = Reads(200, 200)
"""What a call may read beyond what it read alone: indexes are higher now, and have rows that were taken back."""

WIDER = {
    # At most 1,000 of those that wait; and all that are under way, of whom it takes no more than its share.
    "renew_session": Reads(1_500, 200),
    # Some of each that wait, so that it is fair over all of them, and those that are under way.
    "lease_sessions": Reads(2_500, 2_000),
    "lease_jobs": Reads(2_500, 2_500),
    "lease_commands": Reads(4_500, 7_000),
    # The queues of 512 webhooks and 5,000 heads of theirs at most, and five hundred leases that ran out.
    "lease_deliveries": Reads(10_000, 30_000),
    # What is planned is a job of each integration, up to 1,000 and 100 of them.
    "plan_provisionings": Reads(2_000, 12_000),
    "plan_rollouts": Reads(1_000, 4_000),
    # What is asked for is a hundred, of either kind.
    "read_stale_seals": Reads(500, 800),
    # Maintenance, queue by queue and in batches.
    "prune_deliveries": Reads(2_500, 5_000),
    "prune_history": Reads(2_000, 3_000),
}
UNBOUNDED = {
    "count_sealed": "Counts all there are, when somebody runs scripts/rotate-keys.",
    "judge_integrations": "Judges the neighbour too, until its seconds are over: test_alerts.py.",
    "read_platform_metrics": "Tells of each integration, of everybody's; of no device: test_device_statuses.py.",
    "sum_metrics": "Takes what everybody has tallied since it was called last, in batches.",
}
READABLE = """
select c.relname, a.column from pg_class c cross join lateral (
    select null::text as column
    union all
    select t.attname from pg_attribute t where t.attrelid = c.oid
       and t.attname in ('organization_id', 'integration_id')) a
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
   and has_table_privilege('authenticated', c.oid, 'select')
"""


Pair = tuple[Reads, Reads]


@pytest.fixture(scope="module")
def reads(stack: Stack) -> dict[str, Pair]:
    """What each call and page read alone, once its plans were kept, and on the same connection beside the neighbour."""
    with open_small(stack) as small:
        lists = small.connection.execute(READABLE).fetchall()
        alone = [ask_all(small, lists) for _ in range(TIMES)][-1]
        add_neighbour(small)
        beside = ask_all(small, lists)
    return {name: (alone[name], beside[name]) for name in alone}


def ask_all(small: Small, lists: list[tuple[str, str | None]]) -> dict[str, Reads]:
    """What each call and write reads, by its name, and a page of each table and view, by its filter."""
    ids = {"organization_id": small.ids["organization"], "integration_id": small.ids["source"]}
    called = {
        f"{name} {place}": small.read(
            "authenticated" if "authenticated" in FUNCTIONS[name] else "service_role", statement
        )
        for place, (name, statement) in enumerate(CALLS)
    }
    written = {f"write {name}": small.read("authenticated", statement) for name, statement in WRITES}
    listed = {
        f"list {name} {column or ''}": small.read(
            "authenticated", list_page(name, column), [ids[column]] if column else []
        )
        for name, column in lists
    }
    return called | written | listed


def list_page(name: str, column: str | None) -> Composed:
    """A hundred of all that the member sees, or of what they ask for by a column."""
    where = SQL("where {} = %s").format(Identifier(column)) if column else SQL("")
    return SQL("select * from {} {} limit 100").format(Identifier(name), where)


def find_enlarged(reads: dict[str, Pair], *, listed: bool) -> dict[str, Pair]:
    """What reads more than it may, now that there is a neighbour."""
    enlarged: dict[str, Pair] = {}
    for place, (alone, beside) in reads.items():
        name = place.split(" ")[0]
        most = WIDER.get(name, MORE)
        if (name == "list") == listed and name not in UNBOUNDED:
            more = beside - alone
            enlarged |= {place: (alone, beside)} if more.rows > most.rows or more.pages > most.pages else {}
    return enlarged


def test_every_function_of_the_api_is_called() -> None:
    assert {name for name, _ in CALLS} == FUNCTIONS.keys()
    assert WIDER.keys() | UNBOUNDED.keys() <= FUNCTIONS.keys()


def test_no_call_reads_what_a_neighbour_has(reads: dict[str, Pair]) -> None:
    assert find_enlarged(reads, listed=False) == {}


def test_no_member_reads_what_a_neighbour_has(reads: dict[str, Pair]) -> None:
    assert find_enlarged(reads, listed=True) == {}
