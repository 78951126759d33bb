"""Sealed secrets: apart from what people read, bound to a counter that only rises, given out to admins alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service
from tests.database.test_row_level_security import act_as
from tests.stack import Stack

SENT, KEPT, OTHER = f"k1.{'A' * 40}", f"k1.{'B' * 40}", f"k1.{'C' * 40}"
EVERYWHERE = """
select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and a.attname ~ 'seal'
"""


@pytest.fixture
def connection(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with stack.connect() as opened:
        act_as(opened, stack, "admin")
        yield opened
        opened.rollback()


def ask(connection: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def create(connection: psycopg.Connection[Any], stack: Stack, **sealed: Any) -> Row:
    """A new integration through `write_integration`; its answer."""
    organization = stack.user("admin").organization_id
    values: Row = {"id": str(ask(connection, "select issue_id(%s)", organization)), "name": "Sealed"}
    values |= {"organization_id": organization, "integration_type": "mqtt", "status": "active"}
    values |= {"settings": {}, "secret_names": ["password"]}
    answer: Row = ask(
        connection, "select write_integration('insert', %s)", Jsonb({"values": values, "sealed": sealed})
    )
    return answer


def change(connection: psycopg.Connection[Any], integration_id: str, **write: Any) -> Row:
    """A change through `write_integration`; its answer."""
    given = {"id": integration_id, "values": {}} | write
    answer: Row = ask(connection, "select write_integration('update', %s)", Jsonb(given))
    return answer


def sealed_config(connection: psycopg.Connection[Any], integration_id: str) -> tuple[Any, ...]:
    """Both sealed texts and the counter, as an admin gets them."""
    row = connection.execute(
        "select sealed_sent, sealed_kept, seal_count from sealed_config(%s)", (integration_id,)
    ).fetchone()
    return row or ()


def test_an_admin_gets_both_texts_with_the_counter_they_are_sealed_for(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]

    assert sealed_config(connection, created["id"]) == (SENT, KEPT, 1)
    assert created["version"] == 1


def test_the_integration_shows_the_key_and_not_a_character_more(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]

    row = ask(
        connection,
        "select to_jsonb(i) from (select * from device_integrations where id = %s) i",
        created["id"],
    )

    assert (row["api_key_encrypted"], row["secret_names"]) == ("k1", ["password"])
    assert "AAAA" not in str(row)
    assert "BBBB" not in str(row)


def test_a_change_of_secrets_is_one_change_and_raises_the_counter(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]

    sealed = {"sent": OTHER, "kept": KEPT, "count": 2}
    changed = change(connection, created["id"], values={"settings": {"port": 1}}, sealed=sealed)[
        "integration"
    ]

    assert sealed_config(connection, created["id"]) == (OTHER, KEPT, 2)
    assert changed["version"] == 2
    kinds = connection.execute(
        "select action from audit_log where row_id = %s order by id", (created["id"],)
    ).fetchall()
    assert kinds == [("insert",), ("update",)]


@pytest.mark.parametrize("count", [0, 1, 3, None])
def test_what_was_sealed_for_another_counter_is_refused_and_nothing_of_it_is_written(
    connection: psycopg.Connection[Any], stack: Stack, count: int | None
) -> None:
    created = create(connection, stack, sent=SENT, kept=None, count=1)["integration"]

    answer = change(
        connection,
        created["id"],
        values={"name": "Lost"},
        sealed={"sent": OTHER, "kept": None, "count": count},
    )

    assert answer["problem"]["code"] == "PT412"
    assert sealed_config(connection, created["id"]) == (SENT, None, 1)
    assert ask(connection, "select name from device_integrations where id = %s", created["id"]) == "Sealed"


def test_an_old_text_put_back_has_a_counter_it_was_not_sealed_for(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=None, count=1)["integration"]
    change(connection, created["id"], sealed={"sent": OTHER, "kept": None, "count": 2})

    change(connection, created["id"], sealed={"sent": SENT, "kept": None, "count": 3})

    assert sealed_config(connection, created["id"]) == (SENT, None, 3)


def test_the_counter_goes_on_where_it_was_after_all_secrets_were_removed(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=None, count=1)["integration"]

    nothing = {"sent": None, "kept": None, "count": 2}
    removed = change(connection, created["id"], values={"secret_names": []}, sealed=nothing)
    again = change(connection, created["id"], sealed={"sent": SENT, "kept": None, "count": 3})

    assert [answer.get("problem") for answer in (removed, again)] == [None, None]
    assert sealed_config(connection, created["id"]) == (SENT, None, 3)


def test_a_change_without_secrets_leaves_them_and_their_counter(
    connection: psycopg.Connection[Any], stack: Stack
) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]

    change(connection, created["id"], values={"name": "Renamed"})

    assert sealed_config(connection, created["id"]) == (SENT, KEPT, 1)


def test_whoever_writes_the_table_raises_the_counter(service: Service) -> None:
    integration = service.make_integration()
    for sent in ("k1.one", "k1.two", "k1.one"):
        service.seal(integration, sent=sent)

    assert service.sealed(integration) == ("k1.one", None, 3)


def test_what_is_not_sealed_shows_no_character_as_a_key(service: Service) -> None:
    integration = service.make_integration()

    service.seal(integration, sent="canary in clear, no key")

    assert service.one("select api_key_encrypted from device_integrations where id = %s", integration) == ""


@pytest.mark.parametrize(
    "text", ["canary-plain", "canary.plain", '{"password": "canary"}', "", "k1." + "A" * 39]
)
@pytest.mark.parametrize("which", ["sent", "kept"])
def test_credentials_in_clear_are_refused_without_being_quoted(
    connection: psycopg.Connection[Any], stack: Stack, which: str, text: str
) -> None:
    sealed = {"sent": None, "kept": None, "count": 1} | {which: text}

    problem = create(connection, stack, **sealed)["problem"]

    assert problem["code"] == "22023"
    assert "send it the config instead" in problem["message"]
    assert "canary" not in str(problem)


def test_two_texts_of_two_keys_are_refused(connection: psycopg.Connection[Any], stack: Stack) -> None:
    answer = create(connection, stack, sent=SENT, kept=f"k2.{'B' * 40}", count=1)

    assert answer["problem"]["code"] == "22023"


@pytest.mark.parametrize("persona", ["viewer", "member"])
def test_nobody_below_admin_gets_sealed_text(
    connection: psycopg.Connection[Any], stack: Stack, persona: str
) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]
    act_as(connection, stack, persona)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sealed_config(connection, created["id"])


@pytest.mark.parametrize("persona", ["outsider", "other_owner"])
def test_strangers_get_nothing(connection: psycopg.Connection[Any], stack: Stack, persona: str) -> None:
    created = create(connection, stack, sent=SENT, kept=KEPT, count=1)["integration"]
    act_as(connection, stack, persona)

    assert sealed_config(connection, created["id"]) == ()


SERVICE_S_OWN = (
    "select * from private.integration_secrets",
    "update private.integration_secrets set sealed_sent = 'x'",
    "insert into private.integration_secrets (integration_id) values (gen_random_uuid())",
    "delete from private.integration_secrets",
)
SHOWN = (
    "update device_integrations set secret_names = '{}'",
    "update device_integrations set seal_count = 0",
    "update device_integrations set api_key_encrypted = 'k9'",
)


@pytest.mark.parametrize(
    ("role", "statement"),
    [(role, each) for role in ("anon", "authenticated") for each in (*SERVICE_S_OWN, *SHOWN)]
    + [("service_role", each) for each in SERVICE_S_OWN],
)
def test_nobody_writes_sealed_text_its_key_or_its_counter_but_through_its_functions(
    stack: Stack, role: str, statement: str
) -> None:
    with stack.connect() as connection:
        connection.execute(f"set local role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_no_column_that_the_api_exposes_holds_sealed_text(stack: Stack) -> None:
    with stack.connect() as connection:
        columns = connection.execute(EVERYWHERE).fetchall()

    assert columns == [("device_integrations", "seal_count")]


def test_a_worker_gets_both_texts_with_every_lease(service: Service) -> None:
    integration = service.make_integration("webhook", events=["*"])
    service.seal(integration, sent="k1.sent", kept="k1.kept")

    row = service.lease(integration)

    assert (row["sealed_sent"], row["sealed_kept"], row["seal_count"]) == ("k1.sent", "k1.kept", 1)
    (config,) = service.one("select receiver_configs(%s::uuid[])", [integration])
    assert (config["sealed_sent"], config["sealed_kept"], config["seal_count"]) == ("k1.sent", "k1.kept", 1)
