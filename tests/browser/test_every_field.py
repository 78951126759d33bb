"""Every field of every provider can be filled in and arrives as its type, with nothing written for it alone."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider.catalogue import find_provider, list_types
from tests.browser.console import Console
from tests.browser.test_codecs import make_codec
from tests.browser.test_nothing_is_lost import answer
from tests.platform import Platform

FILL = """
(dialog, lists) => {
  const say = (control, value) => {
    if (value !== undefined) control.value = value
    control.dispatchEvent(new Event('input', { bubbles: true }))
    control.dispatchEvent(new Event('change', { bubbles: true }))
  }
  const fill = (field) => {
    const kind = [...field.classList].find((name) => name.startsWith('kind-'))?.slice(5)
    if (kind === 'objects') field.querySelector(':scope > button').click()
    if (!kind || kind === 'objects') return field.querySelectorAll('.field[class*=kind-]').forEach(fill)
    const controls = [...field.querySelectorAll('.control :is(input:not([type=file]), select, textarea)')]
    const [first, second] = controls
    if (kind === 'switch') first.click()
    else if (kind === 'several') first.click()
    else if (kind === 'truth' || kind === 'choice') say(first, [...first.options].at(-1).value)
    else if (kind === 'number') say(first, String(Number(first.min || 0) + 1))
    else if (kind === 'numbers') say(first, '1\\n2')
    else if (kind === 'list') say(first, 'one\\ntwo')
    else if (kind === 'json') say(first, lists.includes(field.dataset.field) ? '[{"a": 1}]' : '{"a": 1}')
    else if (kind === 'pairs') { say(first, 'name'); say(second, 'value') }
    else if (kind !== 'shown') say(first, 'typed')
  }
  dialog.querySelectorAll('.form > * > .fields > .field').forEach(fill)
}
"""
HIDDEN = """
(dialog) => [...dialog.querySelectorAll('.form .field:not(.kind-shown)')]
  .filter((each) => each.hidden || each.closest('.group, fieldset').hidden)
  .map((each) => each.dataset.field)
"""
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def list_json_types(described: dict[str, Any], definitions: dict[str, Any]) -> set[str]:
    """Every JSON type that a property may have."""
    if reference := described.get("$ref"):
        return list_json_types(definitions[reference.rpartition("/")[2]], definitions)
    inner = [each for word in ("anyOf", "allOf", "oneOf") for each in described.get(word, [])]
    own = described.get("type", [])
    choices = {TYPES[type(each)] for each in described.get("enum", []) if each is not None}
    return (
        ({own} if isinstance(own, str) else set(own))
        | choices
        | {t for each in inner for t in list_json_types(each, definitions)}
    )


@pytest.mark.parametrize("integration_type", list_types())
def test_every_field_of_every_provider_is_filled_in_and_sent_as_its_type(
    console: Console, admin: Platform, integration_type: str
) -> None:
    make_codec(admin)
    schema = find_provider(integration_type).model_json_schema()
    console.page.set_viewport_size({"width": 320, "height": 800})
    console.page.route(
        "**/functions/v1/integrations",
        lambda route: route.fulfill(**answer(503)) if route.request.method == "POST" else route.fallback(),
    )
    console.add(integration_type)
    console.field("name").fill("Filled")
    form = console.dialog.locator("form")
    form.wait_for()
    types = {
        name: list_json_types(each, schema.get("$defs", {})) for name, each in schema["properties"].items()
    }
    console.dialog.evaluate(FILL, [name for name, known in types.items() if "array" in known])
    with console.page.expect_request(
        lambda request: request.method == "POST" and request.url.endswith("/integrations")
    ) as caught:
        console.save()
    sent = (caught.value.post_data_json or {})["config"]

    editable = {name for name, each in schema["properties"].items() if not each.get("readOnly")}
    assert set(sent) == editable
    for name, value in sent.items():
        known = types[name] | ({"integer"} if "number" in types[name] else set())
        assert not known or TYPES[type(value)] in known, name
    # What holds something is in sight, in the narrowest window too.
    assert console.dialog.evaluate(HIDDEN) == []
    wide, inside = console.dialog.evaluate("(each) => [each.scrollWidth, each.clientWidth]")
    assert wide <= inside
    console.page.keyboard.press("Escape")
    console.dialog.get_by_role("button", name="Throw it away").click()
    console.dialog.wait_for(state="detached")
