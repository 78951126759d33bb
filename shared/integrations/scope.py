"""Rows about one integration, as its members may see them: pages of them, and one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from typing_extensions import TypedDict

from shared.runtime.bodies import Uuid
from shared.runtime.web.call import Call
from shared.runtime.web.paging import PageQuery

Row = TypeVar("Row", bound=Mapping[str, object])
"""A TypedDict: its fields are the columns that are read."""


class _Id(TypedDict):
    id: Uuid


def list_page(
    call: Call, row: type[Row], table: str, query: PageQuery, **filters: str
) -> tuple[list[Row], str | None]:
    """One page of a table's rows about the integration of the path, and the next one's cursor.

    What `query` has beside the page and the period, and `filters`, are columns. NotFound where the integration is not
    visible.
    """
    asked = query.model_dump(exclude={"limit", "cursor", "from_", "to"}, exclude_none=True)
    wanted = {column: f"eq.{value}" for column, value in (asked | filters).items()}
    wanted["integration_id"] = f"eq.{call.integration_id}"
    rows, next_cursor = query.cut(call.database.read(row, table, query.narrow(wanted)))
    if not rows:
        # Asked only where there is nothing to show: a row that shows proves it as well.
        call.database.read_one(_Id, "device_integrations", {"id": f"eq.{call.integration_id}"})
    return rows, next_cursor


def read_part(call: Call, row: type[Row], table: str, part_id: str, missing: str | None = None) -> Row:
    """The row of this id about the integration of the path; NotFound, with `missing` as its words, otherwise."""
    query = {"id": f"eq.{part_id}", "integration_id": f"eq.{call.integration_id}"}
    return call.database.read_one(row, table, query, missing)
