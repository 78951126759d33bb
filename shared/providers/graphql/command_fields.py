"""The fields that say what commands become: a mutation, and what of its result counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from shared.provider import (
    Command,
    Commander,
    CommandRefused,
    Expression,
    Group,
    Outcome,
    require_partner,
)
from shared.providers.graphql.document import DOCUMENT, check_document
from shared.providers.graphql.endpoint_fields import EndpointFields
from shared.providers.graphql.variables import (
    COMMAND,
    Variables,
    check_variables,
    choose_variables,
    fill_variables,
    has_place,
)

_WITH_MUTATION: dict[str, Any] = {"x-when": {"properties": {"mutation": {"not": {"const": None}}}}}


class CommandFields(Commander, EndpointFields, defer_build=True):
    """For whoever tells devices something by a mutation."""

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"mutation_variables"})
    groups: ClassVar[tuple[Group, ...]] = (
        Group("Commands", ("mutation", "mutation_variables", "mutation_result", "mutation_ok")),
    )

    mutation: str | None = Field(
        None,
        examples=[
            "mutation ($device: ID!, $payload: JSON) { send(device: $device, payload: $payload) { ok } }"
        ],
        json_schema_extra=DOCUMENT,
    )
    """What a command becomes."""
    mutation_variables: dict[str, Any] | None = Field(
        None,
        examples=[{"device": "{{device}}", "input": {"name": "{{name}}", "args": "{{payload}}"}}],
        json_schema_extra=_WITH_MUTATION,
    )
    """Its variables; {{device}}, {{name}}, {{payload}} and {{command_id}} are filled in. Left out, those it names."""
    mutation_result: Expression | None = Field(None, examples=["send.job"], json_schema_extra=_WITH_MUTATION)
    """A JMESPath expression over its data: what is kept as the command's result; left out, all of it."""
    mutation_ok: Expression | None = Field(None, examples=["send.ok"], json_schema_extra=_WITH_MUTATION)
    """A JMESPath expression over its data: true where the device has it, which confirms the command."""

    @field_validator("mutation")
    @classmethod
    def _check_own_document(cls, document: str | None) -> str | None:
        return document and check_document(document, "mutation")

    @field_validator("mutation_variables", "mutation_result", "mutation_ok")
    @classmethod
    def _check_mutation(cls, value: Any, info: ValidationInfo) -> Any:
        return require_partner(value, "mutation", info)

    @field_validator("mutation_variables")
    @classmethod
    def _check_places(cls, variables: Variables | None) -> Variables | None:
        check_variables(variables, COMMAND)
        return variables

    @classmethod
    def check_command(cls, settings: Mapping[str, object], _device: str, _name: str) -> None:
        """CommandRefused without `mutation`."""
        if not settings.get("mutation"):
            raise CommandRefused("This integration sends no commands: set mutation, which they become.")

    @property
    def may_repeat(self) -> bool:
        """Whether the API can tell a mutation that it is sent again."""
        return has_place(self._mutation_variables, "command_id")

    @cached_property
    def _mutation_variables(self) -> Variables:
        return (
            choose_variables(self.mutation or "", self.mutation_variables, COMMAND) if self.mutation else {}
        )

    def fill_mutation(self, values: Variables) -> Variables:
        """The variables of the mutation, of one command. TooLarge where they are too much."""
        return fill_variables(self._mutation_variables, values)

    def send(self, command: Command) -> Outcome:
        """Run the mutation; see send.py."""
        from shared.providers.graphql.send import send_command

        return send_command(self, command)
