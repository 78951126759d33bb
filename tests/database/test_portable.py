"""JSON that people write is such that every reader can take it, and finding that out costs little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.portable import check_portable, measure_json
from tests.database.test_row_level_security import act_as
from tests.stack import Stack

LIMIT = 262_144
DEEP = "[" * 100 + "1" + "]" * 100

# Writable by users: the columns of JSON, and those of text.
WRITABLE = """
select c.relname, a.attname, format_type(a.atttypid, null)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
   and (has_column_privilege('authenticated', c.oid, a.attnum, 'insert')
        or has_column_privilege('authenticated', c.oid, a.attnum, 'update'))
   and a.atttypid in ('jsonb'::regtype, 'json'::regtype, 'text'::regtype, 'text[]'::regtype)
"""
CHECKED = """
select c.relname, encode(t.tgargs, 'escape') from pg_trigger t join pg_class c on c.oid = t.tgrelid
 where t.tgfoid = 'private.check_portable'::regproc
"""
BOUNDED = """
select c.relname, a.attname, pg_get_constraintdef(o.oid)
  from pg_constraint o join pg_class c on c.oid = o.conrelid
  join pg_attribute a on a.attrelid = c.oid and a.attnum = any (o.conkey)
 where o.contype = 'c' and o.connamespace = 'public'::regnamespace
"""


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with stack.connect() as opened:
        opened.execute("set local statement_timeout = '20s'")
        yield opened
        opened.rollback()


def is_portable(connection: psycopg.Connection[Any], text: str | None, limit: int = LIMIT) -> bool:
    row = connection.execute("select private.is_portable(%s::jsonb, %s)", (text, limit)).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize(
    "text",
    [
        None,
        "null",
        "{}",
        '{"a": [1, 2.5, -3e10, true, null, "x"]}',
        '{"n": 1.7976931348623157e308}',
        '{"n": -1.7976931348623157e308}',
        '{"n": 5e-324}',
        '{"n": 1e-400}',
        '{"n": 12345678901234567890123}',
        DEEP,
        '"' + "é" * (LIMIT // 2 - 1) + '"',
        "[" + ", ".join(["0"] * 60_000) + "]",
    ],
)
def test_what_every_reader_can_take_is_portable(
    connection: psycopg.Connection[Any], text: str | None
) -> None:
    assert is_portable(connection, text)


@pytest.mark.parametrize(
    "text",
    [
        '{"n": 1e400}',
        '{"n": -1e400}',
        '{"n": 1.8e308}',
        '{"a": [{"b": [1e309]}]}',
        '{"n": 1e131071}',
        f"[[{DEEP}]]",
        '{"a": ' * 300 + "1" + "}" * 300,
        "[" * 6000 + "]" * 6000,
        '"' + "é" * (LIMIT // 2) + '"',
        "[" + ",".join(["0e-16383"] * 25_000) + "]",
        "[" + ",".join(["1e-16383"] * 25_000) + "]",
        "[" + ",".join(["1e131071"] * 25_000) + "]",
        "[" + ",".join(["1e300"] * 25_000) + "]",
    ],
    ids=lambda text: f"{text[:24]}… {len(text)}",
)
def test_what_some_reader_could_not_take_is_not_and_costs_little_to_find_out(
    connection: psycopg.Connection[Any], text: str
) -> None:
    begun = time.process_time()

    portable = is_portable(connection, text)

    assert not portable
    assert time.process_time() - begun < 5  # printing one of these takes a gigabyte


@pytest.mark.parametrize(
    "statement",
    [
        (
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            " values (%(organization)s, 'mqtt', 'x', %(json)s)"
        ),
        "update device_integrations set settings = %(json)s where id = %(integration)s",
        (
            "insert into devices (organization_id, external_id, name, metadata)"
            " values (%(organization)s, 'x', 'x', %(json)s)"
        ),
        "update devices set metadata = %(json)s where id = %(device)s",
        "insert into device_commands (device_id, name, payload) values (%(device)s, 'x', %(json)s)",
        (
            "insert into integration_jobs (organization_id, integration_id, kind, request)"
            " values (%(organization)s, %(integration)s, 'backfill', %(json)s)"
        ),
        (
            "select start_rollout(%(integration)s, jsonb_build_object('name', 'x', 'target', %(json)s::jsonb,"
            " 'artifacts', '[]'::jsonb, 'time_limit_seconds', 60))"
        ),
        "select replay_messages(%(integration)s, jsonb_build_array(%(json)s::jsonb))",
        "select record_remote_write(%(integration)s, 'state', 'update', %(json)s)",
        "select finish_provisioning(%(integration)s, gen_random_uuid(), %(json)s)",
        (
            "select begin_provisioning(%(integration)s, jsonb_build_object('id', issue_id(%(organization)s),"
            " 'request', %(json)s::jsonb || '{\"name\": \"x\"}', 'metadata', '{}'::jsonb, 'credentials', 'none',"
            " 'lease_seconds', 1))"
        ),
    ],
)
@pytest.mark.parametrize("json", ['{"canary": 1e400}', '{"canary": ' + "[" * 200 + "]" * 200 + "}"])
def test_nobody_writes_it_into_any_column_and_the_refusal_does_not_quote_it(
    connection: psycopg.Connection[Any], stack: Stack, statement: str, json: str
) -> None:
    connection.cursor_factory = psycopg.ClientCursor
    names: dict[str, Any] = {"organization": stack.user("admin").organization_id, "json": json}
    for name, insert in (
        ("integration", ("insert into device_integrations (organization_id, integration_type, name)"
                        " values (%(organization)s, 'golioth', 'Portable') returning id")),
        ("device", ("insert into devices (organization_id, integration_id, external_id, name)"
                   " values (%(organization)s, %(integration)s, 'portable', 'x') returning id")),
    ):  # fmt: skip
        names[name] = (connection.execute(insert, names).fetchone() or (None,))[0]
    act_as(connection, stack, "admin")

    with pytest.raises(
        psycopg.errors.InvalidParameterValue, match="numbers that a double can hold"
    ) as refused:
        connection.execute(statement, names)

    assert "canary" not in f"{refused.value} {refused.value.diag.message_detail}"


@pytest.mark.parametrize(("items", "message"), [(1_300_000, None), (1_500_000, "at most 4194304 bytes")])
def test_no_message_is_replayed_that_is_larger_than_who_sends_it_can_read(
    connection: psycopg.Connection[Any], stack: Stack, items: int, message: str | None
) -> None:
    row = connection.execute(
        "insert into device_integrations (organization_id, integration_type, name)"
        " values (%s, 'golioth', 'x') returning id",
        [stack.user("admin").organization_id],
    ).fetchone()
    act_as(connection, stack, "admin")
    replayed = f'[{{"messages": [{{"event_id": "x", "payload": [{"0, " * items}0]}}]}}]'
    refused = pytest.raises(psycopg.errors.InvalidParameterValue, match=message) if message else nullcontext()

    with refused:
        connection.execute("select replay_messages(%s, %s)", [row and row[0], replayed])


@pytest.mark.parametrize("payload", ["null", "'null'"])
@pytest.mark.parametrize(
    "statement",
    [
        "insert into devices (organization_id, external_id, name, metadata) values (%(o)s, 'x', 'x', {})",
        (
            "insert into device_integrations (organization_id, integration_type, name, settings)"
            " values (%(o)s, 'mqtt', 'x', {})"
        ),
        (
            "insert into device_commands (device_id, name, payload)"
            " select id, 'x', {} from devices where external_id = 'portable'"
        ),
        "update devices set metadata = {} where external_id = 'portable'",
    ],
)
def test_null_in_their_place_is_refused_by_name_in_our_words(
    connection: psycopg.Connection[Any], stack: Stack, statement: str, payload: str
) -> None:
    connection.cursor_factory = psycopg.ClientCursor
    names = {"o": stack.user("admin").organization_id}
    connection.execute(
        "with made as (insert into device_integrations (organization_id, integration_type, name)"
        " values (%(o)s, 'golioth', 'Portable') returning organization_id, id)"
        " insert into devices (organization_id, integration_id, external_id, name)"
        " select organization_id, id, 'portable', 'x' from made",
        names,
    )
    act_as(connection, stack, "admin")

    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"^\w+: expected JSON other than null"):
        connection.execute(statement.format(payload), names)


def test_a_command_through_its_function_is_refused_alike(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    connection.execute(
        "insert into device_integrations (organization_id, integration_type, name) values (%s, 'mqtt', 'Portable')",
        (stack.user("member").organization_id,),
    )
    made = connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " select organization_id, id, 'p', 'p' from device_integrations where name = 'Portable' returning id"
    ).fetchone()
    assert made is not None
    act_as(connection, stack, "member")

    command = f'{{"device_id": "{made[0]}", "name": "x", "payload": {{"n": 1e400}}}}'
    told = connection.execute("select send_command(%s)::jsonb #>> '{problem,code}'", (command,)).fetchone()

    assert told == ("22023",)


def test_every_column_of_json_that_users_write_is_checked(connection: psycopg.Connection[Any]) -> None:
    written = {row[:2] for row in connection.execute(WRITABLE).fetchall() if row[2].startswith("json")}
    checked = {
        (table, name)
        for table, arguments in connection.execute(CHECKED).fetchall()
        for name in arguments.split(r"\000")[::2]
    }

    assert written - checked == set()
    assert written != set()


def test_every_column_of_text_that_users_write_is_bounded(connection: psycopg.Connection[Any]) -> None:
    written = {row[:2] for row in connection.execute(WRITABLE).fetchall() if row[2].startswith("text")}
    bounded = {
        (table, name)
        for table, name, check in connection.execute(BOUNDED).fetchall()
        if f"length({name})" in check or f"{name} = ANY" in check or f"{name} ~ '^" in check
    }

    assert written - bounded == set()
    assert written != set()


@pytest.mark.parametrize("table", ["organizations", "device_integrations", "device_commands"])
def test_a_name_is_not_made_endless_by_what_surrounds_it(
    connection: psycopg.Connection[Any], stack: Stack, table: str
) -> None:
    act_as(connection, stack, "owner")
    insert = {
        "organizations": "update organizations set name = %(name)s",
        "device_integrations": "update device_integrations set name = %(name)s",
        "device_commands": (
            "insert into device_commands (device_id, name)"
            " select id, %(name)s from devices where external_id = 'named' limit 1"
        ),
    }
    connection.execute("reset role")
    connection.execute(
        "with i as (insert into device_integrations (organization_id, integration_type, name)"
        " values (%(o)s, 'mqtt', 'Named') returning id, organization_id) select 1 from i",
        {"o": stack.user("owner").organization_id},
    )
    connection.execute(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " select organization_id, id, 'named', 'Named' from device_integrations where name = 'Named'"
    )
    act_as(connection, stack, "owner")

    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(insert[table], {"name": "x" + " " * 5000})


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text('aé\n"', max_size=3), inner, max_size=5)
    ),
)


@given(value=DOCUMENTS)
@settings(max_examples=300)
def test_the_functions_count_the_bytes_that_the_database_would_print(
    connection: psycopg.Connection[Any], value: Any
) -> None:
    text = orjson.dumps(value).decode()
    row = connection.execute("select octet_length(%s::jsonb::text)", (text,)).fetchone()
    assert row is not None
    size = row[0]

    assert measure_json(value, LIMIT)[0] == size
    # What is stored of a few bytes is larger than they are.
    assert is_portable(connection, text, max(size, 64))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (DEEP, True),
        (f"[{DEEP}]", False),
        ('{"a": ' * 100 + "1" + "}" * 100, True),
        ('{"a": ' * 101 + "1" + "}" * 101, False),
        (orjson.dumps("x" * (LIMIT - 2)).decode(), True),
        (orjson.dumps("x" * (LIMIT - 1)).decode(), False),
        (orjson.dumps([1e300] * 800).decode(), True),
        (orjson.dumps([1e300] * 900).decode(), False),
        (orjson.dumps([0.0] * 60_000).decode(), False),
    ],
)
def test_the_functions_refuse_what_the_database_refuses(
    connection: psycopg.Connection[Any],
    text: str,
    fits: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    value = orjson.loads(text)

    assert is_portable(connection, text) == fits
    if fits:
        assert check_portable(value, LIMIT) is value
    else:
        with pytest.raises(ValueError, match="at most 262144 bytes and 100 levels"):
            check_portable(value, LIMIT)
