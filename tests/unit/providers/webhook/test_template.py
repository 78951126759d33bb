"""Payload templates: what renders to what, what is refused and where, and that the outcome is always JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider.template import (
    DEPTH_LIMIT,
    OUTPUT_LIMIT,
    PLACEHOLDER_LIMIT,
    TEMPLATE_LIMIT,
    check_text,
    compile_template,
    find_gaps,
    list_payload_paths,
    render_template,
)
from shared.runtime.errors import TooLarge

CONTEXT: dict[str, Any] = {
    "event": {"id": "e1", "type": "device.telemetry", "kind": "telemetry", "at": "2026-01-01T00:00:00Z", "topic": None},
    "device": {"id": "d1", "external_id": "ext", "name": 'Bob\'s "pump"\n\\ü'},
    "integration": {"id": "i1", "name": "Broker", "type": "mqtt"},
    "organization_id": "o1",
    "payload": {"temp": 21.5, "on": True, "none": None, "items": [{"x": 1}, {"x": 2}]}
    | {"battery level": 3, "n": {"0": 7}},
}  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT.filter(lambda text: "{{" not in text),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT.filter(lambda text: "{{" not in text), inner, max_size=4)
    ),
    max_leaves=15,
)
ANY_TEXT = st.text(st.characters(codec=None))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=15,
)


def render(template: Any, context: dict[str, Any] | None = None) -> Any:
    return json.loads(render_template(compile_template(template), context or CONTEXT))


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ payload.temp }}", 21.5),
        ("{{payload.on}}", True),
        ("{{\tpayload.items }}", [{"x": 1}, {"x": 2}]),
        ("{{ payload.items.1.x }}", 2),
        ("{{ payload.n.0 }}", 7),
        ('{{ payload."battery level" }}', 3),
        ("{{ device }}", CONTEXT["device"]),
        ("{{ device.name }}", 'Bob\'s "pump"\n\\ü'),
        ("{{ organization_id }}", "o1"),
        ("{{ event.topic }}", None),
    ],
)
def test_a_placeholder_alone_keeps_the_type_of_its_value(template: str, rendered: Any) -> None:
    assert render({"a": [template]}) == {"a": [rendered]}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{{ payload.temp }} °C", "21.5 °C"),
        ("on: {{ payload.on }}", "on: true"),
        (" {{ organization_id }}", " o1"),
        ("{{ event.id }}{{ event.kind }}", "e1telemetry"),
        ("items {{ payload.items }}", 'items [{"x":1},{"x":2}]'),
        ("<{{ device.name }}>", '<Bob\'s "pump"\n\\ü>'),
        ("[{{ payload.none }}{{ event.topic }}]", "[]"),
    ],
)
def test_a_placeholder_among_text_becomes_text(template: str, rendered: str) -> None:
    assert render({"a": template}) == {"a": rendered}


@pytest.mark.parametrize(
    "path",
    ["nope", "temp.deeper", "items.2", "items.x", "items.-1", "items.01", "items.²", "items.999999999999"],
)
def test_a_path_that_leads_nowhere_is_null_alone_and_nothing_among_text(path: str) -> None:
    assert render([f"{{{{ payload.{path} }}}}", f"<{{{{ payload.{path} }}}}>"]) == [None, "<>"]


def test_an_event_without_a_device_renders_null() -> None:
    assert render(["{{ device }}", "{{ device.name }}"], CONTEXT | {"device": None}) == [None, None]


def test_escaped_braces_are_literal() -> None:
    assert render(r"\{{ name }} is {{ event.id }}") == "{{ name }} is e1"


def test_closing_braces_alone_are_text() -> None:
    assert render('{"a":{"b":1}}') == '{"a":{"b":1}}'


def test_integers_of_any_size_survive() -> None:
    context = CONTEXT | {"payload": {"big": 2**200}}

    assert render(["{{ payload.big }}", "={{ payload.big }}"], context) == [2**200, f"={2**200}"]


@pytest.mark.parametrize(
    ("template", "place", "reason"),
    [
        ({"a": ["x", "{{ evnt.id }}"]}, "/a/1", "begins with one of event"),
        ({"a/b": {"c~d": "{{ device.nmae }}"}}, "/a~1b/c~0d", "external_id, id, name"),
        ({"a": "{{ device.name.first }}"}, "/a", "external_id, id, name"),
        ({"a": "{{ organization_id.x }}"}, "/a", "no parts"),
        ({"a": "{{ payload.x"}, "/a", "between {{ and }}"),
        ({"a": "{{ payload.x | upper }}"}, "/a", "between {{ and }}"),
        ({"a": "{{ 1 + 1 }}"}, "/a", "between {{ and }}"),
        ({"a": "{{ payload..x }}"}, "/a", "between {{ and }}"),
        ({"a": "{{ payload.__class__() }}"}, "/a", "between {{ and }}"),
        ({"a": "{{}}"}, "/a", "between {{ and }}"),
        ({"a": "{% for x in payload %}{{ x }}"}, "/a", "begins with one of"),
        ({"a": {"{{ event.id }}": 1}}, "/a", "placeholders go into values"),
        ("{{ nope }}", "the top", "begins with one of"),
        ({"a": float("nan")}, "/a", "NaN"),
        ({"a": 2**64}, "/a", "64 bits"),
        ({"a": "\ud800"}, "/a", "character"),
        ({"a": b"bytes"}, "/a", "expected JSON"),
        ({"a": {1: 2}}, "/a", "names in an object"),
        ({"a": "{{ payload." + "x" * 300 + " }}"}, "/a", "at most 256"),
    ],
)
def test_a_bad_template_is_refused_with_the_place_of_the_error(
    template: Any, place: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=f"^at {place}: ") as caught:
        compile_template(template)

    assert reason in str(caught.value)


def test_an_error_never_repeats_what_the_template_holds() -> None:
    for template in ("{{ sk_live_12345 }}", "sk_live_12345 {{", {"a": "{{ device.sk_live_12345 }}"}):
        with pytest.raises(ValueError, match="at ") as caught:
            compile_template(template)

        assert "sk_live" not in str(caught.value)


def nest(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value} if levels % 2 else [value]
    return value


def test_depth_is_bounded() -> None:
    assert render(nest(DEPTH_LIMIT)) == nest(DEPTH_LIMIT)
    for levels in (DEPTH_LIMIT + 1, 100_000):
        with pytest.raises(ValueError, match=f"at most {DEPTH_LIMIT} levels"):
            compile_template(nest(levels))


def test_size_and_placeholders_are_bounded() -> None:
    compile_template("x" * (TEMPLATE_LIMIT - 2))
    compile_template(["{{ event.id }}"] * PLACEHOLDER_LIMIT)

    for template in (
        "x" * TEMPLATE_LIMIT,
        ["{{ event.id }}"] * (PLACEHOLDER_LIMIT + 1),
        [0] * TEMPLATE_LIMIT,
    ):
        with pytest.raises(
            ValueError, match=f"at most {TEMPLATE_LIMIT} bytes and {PLACEHOLDER_LIMIT} placeholders"
        ):
            compile_template(template)


def test_output_is_bounded_however_often_a_payload_is_named() -> None:
    template = compile_template(["{{ payload }}", "and {{ payload }}"] * 200)

    with pytest.raises(TooLarge, match=str(OUTPUT_LIMIT)):
        render_template(template, CONTEXT | {"payload": "x" * 10_000})


def test_a_payload_nested_without_end_is_refused_not_a_crash() -> None:
    payload: Any = []
    for _ in range(100_000):
        payload = [payload]

    with pytest.raises(TooLarge, match="nested too deeply"):
        render("{{ payload }}", CONTEXT | {"payload": payload})


@given(PLAIN)
def test_a_template_without_placeholders_renders_to_itself(template: Any) -> None:
    assert render(template) == template


@given(PLAIN, ANY_JSON)
def test_whatever_the_payload_the_outcome_is_json_with_the_payload_in_its_places(
    template: Any, payload: Any
) -> None:
    rendered = render(
        {"alone": "{{ payload }}", "t": template, "text": "<{{ payload }}>"}, CONTEXT | {"payload": payload}
    )

    assert rendered["alone"] == payload
    assert rendered["t"] == template
    assert rendered["text"][0] + rendered["text"][-1] == "<>"
    if isinstance(payload, str):
        assert rendered["text"] == f"<{payload}>"


@given(
    st.lists(
        st.sampled_from(["{{", "}}", "{", "}", " ", "payload", ".", "x", '"', "\\", "é", "0", "event.id"]),
        max_size=12,
    )
)
def test_any_text_is_refused_with_a_reason_or_renders_to_json(parts: list[str]) -> None:
    refusal = None
    try:
        compile_template({"a": "".join(parts)})
    except ValueError as error:
        refusal = str(error)

    if refusal is None:
        assert render({"a": "".join(parts)}).keys() == {"a"}
    else:
        assert refusal.startswith("at /a: ")


def test_paths_that_lead_nowhere_in_the_payload_are_gaps_and_null_is_none() -> None:
    template = {
        "a": "{{ payload.temp }} {{ payload.temp }} {{ payload.nothing.here }}",
        "b": ["{{ payload.none }}", "{{ payload.items.9.x }}", '{{ payload."battery level" }}'],
        "c": ["{{ payload }}", "{{ device.name }}", "{{ payload.temp.deeper }}"],
    }
    paths = list_payload_paths(compile_template(template))

    assert find_gaps(paths, CONTEXT["payload"]) == [
        "payload.nothing.here",
        "payload.items.9.x",
        "payload.temp.deeper",
    ]
    assert len(find_gaps(paths, 21.5)) == len(paths) == 6
    assert list_payload_paths(compile_template("{{ payload }} {{ event.id }}")) == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {{ payload.a }}}',
        "{'a': 1}",
        '{"a": "{{ payload.a }}",}',
        ' ["a", {{ payload }}]',
        "{}",
        "[[]]",
    ],
)
def test_what_was_meant_to_be_json_is_not_taken_for_a_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON") as refused:
        check_text(text)

    assert "payload" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["{{ payload }}", "[{{ event.type }}] hello", "{{ a }} {b}", "plain", 5, None, {"a": 1}]
)
def test_a_text_is_a_template_of_its_own(text: Any) -> None:
    check_text(text)
