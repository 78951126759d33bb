"""Answers of functions that lease: one row that can't be read keeps nobody else's."""

from __future__ import annotations

import uuid

import orjson
import pytest

from shared.runtime.database.leases import Unread, read_leases

IDS = [str(uuid.UUID(int=number)) for number in range(1, 6)]
TOKEN = str(uuid.uuid4())
UNREADABLE = ["1e400", "-1" + "0" * 400, "[" * 1_500 + "]" * 1_500]


def write_row(row_id: str, payload: str, *, token: bool = True) -> str:
    leased = f'"lease_token":"{TOKEN}",' if token else ""
    return f'{{"id":"{row_id}",{leased}"payload":{payload}}}'


def write_set(rows: list[str]) -> bytes:
    """As Postgres writes the rows of a set."""
    return b"[%s]" % ", \n ".join(rows).encode()


def write_pair(integrations: dict[str, str], rows: list[str]) -> bytes:
    entries = ",\n".join(f'"{name}": {row}' for name, row in integrations.items())
    return b'{"integrations" : {\n%s\n}, "commands" : %s}' % (entries.encode(), write_set(rows))


def test_an_answer_is_read_as_it_is() -> None:
    leases = read_leases(write_set([write_row(name, "1") for name in IDS]))

    assert [row["id"] for row in leases.rows] == IDS
    assert leases.unread == []


@pytest.mark.parametrize("place", range(len(IDS)))
@pytest.mark.parametrize("bad", UNREADABLE)
def test_a_row_that_can_not_be_read_is_told_and_the_others_are_read(bad: str, place: int) -> None:
    rows = [write_row(name, bad if number == place else '"}{"') for number, name in enumerate(IDS)]

    leases = read_leases(write_set(rows))

    assert leases.unread == [Unread(IDS[place], TOKEN)]
    assert [row["id"] for row in leases.rows] == [name for name in IDS if name != IDS[place]]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("bad", UNREADABLE)
def test_so_is_one_beside_its_integrations(bad: str, place: int) -> None:
    integrations = {name: write_row(name, "{}", token=False) for name in IDS[3:]}
    rows = [write_row(name, bad if number == place else "[{}]") for number, name in enumerate(IDS[:3])]

    leases = read_leases(write_pair(integrations, rows), "commands")

    assert set(leases.integrations) == set(IDS[3:])
    assert leases.unread == [Unread(IDS[place], TOKEN)]
    assert len(leases.rows) == 2


@pytest.mark.parametrize("bad", UNREADABLE)
def test_an_integration_that_can_not_be_read_is_not_there(bad: str) -> None:
    integrations = {IDS[3]: write_row(IDS[3], bad, token=False), IDS[4]: write_row(IDS[4], "{}", token=False)}

    leases = read_leases(write_pair(integrations, [write_row(IDS[0], "0")]), "commands")

    assert set(leases.integrations) == {IDS[4]}
    assert [row["id"] for row in leases.rows] == [IDS[0]]


def test_a_row_can_not_pass_for_another_by_what_is_in_it() -> None:
    forged = f'{{"id":"{IDS[1]}","lease_token":"{IDS[1]}","n":1e400}}'

    leases = read_leases(write_set([write_row(IDS[0], forged)]))

    assert leases.unread == [Unread(IDS[0], TOKEN)]


def test_an_empty_answer_has_nothing() -> None:
    leases = read_leases(orjson.dumps({"integrations": {}, "deliveries": []}), "deliveries")

    assert (leases.rows, leases.integrations, leases.unread) == ([], {}, [])
