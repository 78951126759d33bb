"""Documents of GraphQL: which operation is in one, whatever stands around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.graphql.document import _TOKEN, read_operation


@pytest.mark.parametrize(
    ("document", "kind", "variables"),
    [
        ("{ a }", "query", set()),
        ("query { a }", "query", set()),
        ("query query { query }", "query", set()),
        (
            "subscription S($a: [Int!]! = [1, 2], $b: In = {x: {y: 1}}) @live { s(a: $a, b: $b) { id } }",
            "subscription",
            {"a", "b"},
        ),
        ("mutation ($id: ID!) { m(id: $id) }  # { not a brace $no", "mutation", {"id"}),
        ('{ a(text: "} $no {", block: """ " } \\""" $no """) { b } }', "query", set()),
        ("fragment F on T { a } query { ...F ... on U { b } }", "query", set()),
        ("\ufeffquery Q\n,,{a}", "query", set()),
    ],
)
def test_the_operation_and_its_variables_are_found(document: str, kind: str, variables: set[str]) -> None:
    operation = read_operation(document)

    assert (operation.kind, set(operation.variables)) == (kind, variables)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "   ",
        "query",
        "query {",
        "}",
        "{ a } }",
        "type T { a: Int }",
        "{ a } query { b }",
        "fragment F on T { a }",
        "# { a }",
    ],
)
def test_what_is_not_one_operation_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match=r"write one operation|braces|no operation"):
        read_operation(document)


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 9_000, '"""' + '\\"' * 9_000, '"' + '\\"' * 9_000 + "\\", '"""""']
)
def test_a_text_that_never_ends_is_looked_through_once(text: str) -> None:
    assert _TOKEN.findall(text) == [text]


@given(st.text(alphabet='{}()[]"#$\\\n aqmutionsbcrp"', max_size=60))
def test_no_text_breaks_the_reading(document: str) -> None:
    try:
        operation = read_operation(document)
    except ValueError:
        return
    assert operation.kind in {"query", "mutation", "subscription"}
