"""What is granted is what the table says, no more and no less."""

from __future__ import annotations

from tests.database.grants import read_granted, read_listed
from tests.stack import Stack


def test_nobody_may_do_more_or_less_than_the_table_says(stack: Stack) -> None:
    with stack.connect() as connection:
        granted = read_granted(connection)

    listed = read_listed()
    assert [line for line in granted if line not in listed] == []
    assert [line for line in listed if line not in granted] == []


def test_the_table_is_sorted_and_has_each_line_once() -> None:
    listed = read_listed()

    assert listed == sorted(set(listed))


def test_whoever_is_not_signed_in_may_do_nothing() -> None:
    assert [line for line in read_listed() if line.startswith(("anon ", "everybody "))] == []


def test_nobody_may_use_a_sequence_empty_a_table_or_hang_anything_on_it() -> None:
    words = ("_seq", "truncate", "references", "trigger", "usage, ")

    assert [line for line in read_listed() if any(word in line for word in words)] == []
