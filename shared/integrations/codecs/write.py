"""Creating and changing codecs: what is to be saved is compiled and tried on its fixtures first, in a child process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired

from shared.codecs.codec import Codec
from shared.integrations.codecs.bodies import ChangedCodec, CodecRow, Fixture, NewCodec
from shared.integrations.codecs.trial import check_source
from shared.runtime.bodies import parse_model
from shared.runtime.errors import BadRequest, Conflict, PreconditionFailed
from shared.runtime.log import bind_log
from shared.runtime.portable import check_portable
from shared.runtime.web.call import Call
from shared.runtime.web.etags import list_versions
from shared.runtime.web.rate_limits import TESTS, WRITES, Settled, settle_limits, take_tokens

TRIES = 3
FIXTURES_BYTES = 262_144

Values = dict[str, Any]


class Written(Settled):
    """What `write_codec` answers."""

    codec: NotRequired[CodecRow]


def create_codec(call: Call, body: NewCodec) -> CodecRow:
    """The new codec. Errors: SourceRefused, InvalidConfig, Conflict, QuotaExceeded, Forbidden, NotFound."""
    organization_id = str(body.organization_id)
    bind_log(organization=organization_id)
    call.database.call("require_role", p_organization_id=organization_id, p_role="admin")
    check_source(Codec(organization_id, body.kind, body.source), body.fixtures, force=body.force)
    values = {
        **body.model_dump(include={"name", "kind", "source"}),
        "organization_id": organization_id,
        "fixtures": _store_fixtures(body.fixtures),
    }
    return _write(call, "insert", {"values": values})["codec"]


def change_codec(call: Call, body: ChangedCodec) -> CodecRow:
    """The codec as it is now; read, tried and written while nobody else has. Errors: as before, PreconditionFailed."""
    values: Values = body.model_dump(include={"name", "kind", "source"}, exclude_unset=True)
    if "fixtures" in body.model_fields_set:
        values["fixtures"] = _store_fixtures(body.fixtures)
    if not values:
        raise BadRequest("Nothing to change: send name, kind, source or fixtures.")
    wanted = list_versions(call.request.headers.get("If-Match"))
    for _ in range(TRIES):
        row = read_codec(call)
        if wanted is not None and row["version"] not in wanted:
            raise PreconditionFailed
        if values.keys() - {"name"}:
            _try_change(call, row, values, force=body.force)
        try:
            return _write(call, "update", {"id": row["id"], "values": values, "versions": [row["version"]]})[
                "codec"
            ]
        except PreconditionFailed:
            continue
    raise Conflict("Somebody else keeps changing this codec; read it again and retry.")


def delete_codec(call: Call) -> None:
    """Delete it; Conflict, naming them, where integrations use it."""
    versions = list_versions(call.request.headers.get("If-Match"))
    _write(call, "delete", {"id": call.parameters["codec_id"], "versions": versions})


def read_codec(call: Call) -> CodecRow:
    """The codec of the path, as the caller may see it; NotFound otherwise."""
    query = {"id": f"eq.{call.parameters['codec_id']}"}
    row = call.database.read_one(CodecRow, "codecs", query, "There is no such codec here.")
    bind_log(organization=row["organization_id"])
    return row


def _try_change(call: Call, row: CodecRow, values: Values, *, force: bool) -> None:
    organization_id = row["organization_id"]
    take_tokens(call, TESTS, p_organization_id=organization_id)
    call.database.call("require_role", p_organization_id=organization_id, p_role="admin")
    merged: Mapping[str, Any] = {**row, **values}
    fixtures = [parse_model(Fixture, each) for each in merged["fixtures"]]
    check_source(Codec(organization_id, merged["kind"], merged["source"]), fixtures, force=force)


def _store_fixtures(fixtures: Sequence[Fixture]) -> list[dict[str, object]]:
    stored = [fixture.model_dump(exclude_unset=True) for fixture in fixtures]
    try:
        return check_portable(stored, FIXTURES_BYTES)
    except ValueError as error:
        raise BadRequest(f"fixtures: {error}.") from None


def _write(call: Call, action: Literal["insert", "update", "delete"], write: Mapping[str, object]) -> Written:
    written: Written = call.database.call("write_codec", p_action=action, p_write=write)
    settle_limits(call, WRITES, written)
    return written
