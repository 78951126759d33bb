"""What crosses the border of the API: parameters of queries by their names, and nulls."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.openapi.document import list_routers
from shared.commands.bodies import NewCommand
from shared.deliveries.bodies import DeliveryFilters, ReplayedRange
from shared.firmware.bodies import NewRollout, UploadedArtifact
from shared.integrations.bodies import ChangedIntegration, IntegrationFilters, NewIntegration, Rotation
from shared.runtime.bodies import PASSED_BY, Body, Query, parse_model, parse_query
from shared.runtime.errors import BadRequest
from shared.runtime.sentences import TOO_MANY
from shared.scheduler.bodies import Tick

QUERIES = sorted(
    {route.query or Query for router in list_routers() for route in router.routes if not route.public},
    key=lambda model: model.__name__,
)
BODIES = sorted(
    {
        model
        for router in list_routers()
        for route in router.routes
        for model in (route.body, *route.reads)
        if isinstance(model, type) and issubclass(model, Body) and model.null_is_absent
    },
    key=lambda model: model.__name__,
)
NEW = {"organization_id": str(uuid.uuid4()), "integration_type": "mqtt", "name": "Plant"}
COMMAND = {"device_id": str(uuid.uuid4()), "name": "stop"}


def find_wrong(model: type[Query], **sent: list[str]) -> dict[str, str]:
    with pytest.raises(BadRequest) as refused:
        parse_query(model, sent)
    return {error.field: error.message for error in refused.value.errors}


def test_a_misspelt_parameter_is_refused_by_name_with_those_that_there_are() -> None:
    wrong = find_wrong(IntegrationFilters, stauts=["active"])

    assert wrong == {
        "stauts": "Unknown; this call takes limit, cursor, id, organization_id, integration_type, status."
    }


@pytest.mark.parametrize("model", QUERIES, ids=lambda model: model.__name__)
@given(name=st.text(min_size=1), value=st.sampled_from(["", "active"]))
@settings(max_examples=30)
def test_no_call_lets_an_unknown_parameter_pass(model: type[Query], name: str, value: str) -> None:
    if name in model.model_fields or name in PASSED_BY:
        return

    assert [*find_wrong(model, **{name: [value]})] == [name]


@pytest.mark.parametrize("name", ["Status", "status ", "STATUS", "status[]", "limit."])
def test_letters_count_in_the_name_of_a_parameter(name: str) -> None:
    assert [*find_wrong(IntegrationFilters, **{name: ["active"]})] == [name]


def test_a_parameter_with_two_values_is_refused_rather_than_one_of_them_left_out() -> None:
    wrong = find_wrong(DeliveryFilters, status=["dead", "pending"])

    assert wrong == {"status": "Given more than once, with different values."}


def test_what_the_gateway_adds_and_what_is_empty_passes() -> None:
    query = parse_query(
        IntegrationFilters,
        {"apikey": ["k"], "forceFunctionRegion": ["eu-central-1"], "status": [""], "limit": ["5"]},
    )

    assert query.model_dump(exclude_unset=True) == {"limit": 5}


@pytest.mark.parametrize(
    ("model", "sent", "nulls"),
    [
        (NewIntegration, NEW, ("status", "config")),
        (NewCommand, COMMAND, ("expires_in_seconds",)),
        (ReplayedRange, {}, ("status", "from", "to", "event_type", "not_replayed_since")),
        (Rotation, {}, ("name", "grace_seconds")),
        (
            NewRollout,
            {"name": "1.4", "artifact_ids": ["a"], "cohort_id": "c"},
            ("time_limit_seconds", "replace", "tag_id"),
        ),
        (UploadedArtifact, {"version": "1", "content": "aW1hZ2U="}, ("package", "blueprint_id")),
        (Tick, {}, ("seconds", "idle_seconds")),
    ],
)
def test_null_means_absent(model: type[Body], sent: dict[str, Any], nulls: tuple[str, ...]) -> None:
    given_null = parse_model(model, sent | dict.fromkeys(nulls))

    assert given_null.model_dump() == parse_model(model, sent).model_dump()


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_no_body_refuses_null_for_what_may_be_absent(model: type[Body]) -> None:
    optional = {
        field.alias or name for name, field in model.model_fields.items() if not field.is_required()
    } - {"payload"}

    refused: set[str] = set()
    try:
        parse_model(model, dict.fromkeys(optional))
    except BadRequest as refusal:
        refused = {error.field for error in refusal.errors}

    assert not refused & optional


@pytest.mark.parametrize("name", ["name", "status"])
def test_a_change_to_null_is_refused_where_nothing_can_be_taken_away(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_model(ChangedIntegration, {name: None})

    assert [error.field for error in refused.value.errors] == [name]


@pytest.mark.parametrize("name", [*NEW])
def test_null_in_the_place_of_what_is_needed_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_model(NewIntegration, NEW | {name: None})

    assert [error.field for error in refused.value.errors] == [name]


@pytest.mark.parametrize("offset", ["Z", "+18:28", "-23:59"])
def test_a_time_is_passed_on_in_utc_whatever_its_offset(offset: str) -> None:
    asked = parse_model(ReplayedRange, {"to": f"4212-03-02T16:08:45{offset}"})

    assert asked.to is not None
    assert asked.to.utcoffset() == timedelta(0)


def test_a_time_that_has_none_in_utc_is_refused_by_its_field() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_model(ReplayedRange, {"to": "9999-12-31T23:59:59-01:00"})

    assert [error.field for error in refused.value.errors] == ["to"]


@pytest.mark.parametrize("number", [0.5, 1_700_000_000, "0.5", "1700000000", "-1", "1e9", True])
def test_a_number_is_no_time(number: object) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_model(ReplayedRange, {"from": number})

    assert [error.field for error in refusal.value.errors] == ["from"]


def test_a_command_with_null_for_a_payload_is_refused_in_our_words() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_model(NewCommand, COMMAND | {"payload": None})

    (error,) = refused.value.errors
    assert (error.field, "leave it out" in error.message) == ("payload", True)
    assert parse_model(NewCommand, COMMAND).payload == {}


def test_of_countless_wrong_fields_none_is_listed() -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_model(Body, {str(number): number for number in range(100_000)})

    assert [(error.field, error.message) for error in refusal.value.errors] == [("", TOO_MANY)]
