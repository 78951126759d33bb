"""The fields that say what is asked."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from shared.provider import Expression, require_partner
from shared.providers.graphql.document import DOCUMENT, check_document
from shared.providers.graphql.endpoint_fields import EndpointFields, require_place
from shared.providers.graphql.variables import CURSOR, Variables, choose_variables, fill_variables

_QUERY = "query ($cursor: Int = 0) { readings(after: $cursor, first: 500) { id device at temperature } }"
_WITH_QUERY: dict[str, Any] = {"x-when": {"properties": {"query": {"not": {"const": None}}}}}


class QueryFields(EndpointFields, defer_build=True):
    """What is asked; these stand before what is subscribed to, which is compared with them."""

    query: str | None = Field(None, examples=[_QUERY], json_schema_extra=DOCUMENT)
    """What is asked, in pages, from $cursor on: what was not there before, the oldest first."""
    query_items: Expression | None = Field(
        None, examples=["readings.edges[].node"], json_schema_extra=_WITH_QUERY
    )
    """A JMESPath expression over the data of a result: the list of its items; left out, the only field's."""
    query_cursor: Expression | None = Field(
        None, examples=["readings.pageInfo.endCursor"], json_schema_extra=_WITH_QUERY
    )
    """A JMESPath expression over the data of a result: what $cursor is from then on."""

    @field_validator("query")
    @classmethod
    def _check_query(cls, document: str | None) -> str | None:
        return document and check_document(document, "query")

    @field_validator("query_items", "query_cursor")
    @classmethod
    def _check_asked(cls, expression: str | None, info: ValidationInfo) -> str | None:
        require_partner(expression, "query", info)
        is_cursor = info.field_name == "query_cursor"
        known = info.data.get("query") if is_cursor else None
        return require_place(expression, known, info.data.get("variables"))

    def fill_query(self, cursor: Any) -> Variables:
        """The variables of the query, from there on."""
        return fill_variables(choose_variables(self.query or "", self.variables, CURSOR), {"cursor": cursor})
