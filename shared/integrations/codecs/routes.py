"""`/integrations/codecs`: admins keep the payload codecs of their organization. Contract: docs/codecs.md."""

from __future__ import annotations

from http import HTTPStatus

from shared.codecs.codec import Codec
from shared.integrations.codecs import bodies, trial, write
from shared.runtime.errors import Conflict, InvalidConfig, PreconditionFailed, QuotaExceeded, Unavailable
from shared.runtime.log import bind_log
from shared.runtime.web.call import Call
from shared.runtime.web.etags import make_tag
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routes import Routes

WRITING = (Conflict, InvalidConfig, Unavailable)

routes = Routes()


@routes.get("/codecs")
def list_codecs(call: Call, query: bodies.CodecFilters) -> bodies.CodecPage:
    """List codecs, newest first, without their sources."""
    asked = query.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
    wanted = {column: f"eq.{value}" for column, value in asked.items()}
    found = call.database.read(bodies.ListedCodec, "codecs", query.narrow(wanted))
    rows, next_cursor = query.cut(found)
    return {"codecs": rows, "next_cursor": next_cursor}


@routes.post(
    "/codecs",
    status=HTTPStatus.CREATED,
    budget=TESTS,
    settles=WRITES,
    headers=("Location", "ETag"),
    problems=(*WRITING, QuotaExceeded),
)
def create_codec(call: Call, body: bodies.NewCodec) -> bodies.OneCodec:
    """Create a codec: compiled and tried on its fixtures first, and refused where one breaks, unless forced."""
    row = write.create_codec(call, body)
    call.headers["Location"] = f"/functions/v1/integrations/codecs/{row['id']}"
    return _show_row(call, row)


@routes.post("/codecs/test", budget=TESTS, problems=(Unavailable,))
def test_codec(call: Call, body: bodies.CodecTrial) -> bodies.TrialResults:
    """Try a source before it is saved: on bodies, on commands and on events.

    Errors name line and column. What the source can't decode or encode is no error of this call.
    """
    organization_id = str(body.organization_id)
    bind_log(organization=organization_id)
    call.database.call("require_role", p_organization_id=organization_id, p_role="admin")
    return trial.try_all(Codec(organization_id, body.kind, body.source), body)


@routes.get("/codecs/{codec_id}", also=HTTPStatus.NOT_MODIFIED, headers=("ETag",))
def get_codec(call: Call) -> bodies.OneCodec:
    """Read one codec."""
    return _show_row(call, write.read_codec(call))


@routes.patch(
    "/codecs/{codec_id}", settles=WRITES, headers=("ETag",), problems=(*WRITING, PreconditionFailed)
)
def change_codec(call: Call, body: bodies.ChangedCodec) -> bodies.OneCodec:
    """Change a codec: an absent field stays, and a change that breaks a fixture is refused, unless forced.

    Integrations that use it decode with it from then on.
    """
    return _show_row(call, write.change_codec(call, body))


@routes.delete(
    "/codecs/{codec_id}",
    status=HTTPStatus.NO_CONTENT,
    settles=WRITES,
    problems=(Conflict, PreconditionFailed),
)
def delete_codec(call: Call) -> None:
    """Delete a codec that no integration uses; of one in use the answer names them."""
    write.delete_codec(call)


def _show_row(call: Call, row: bodies.CodecRow) -> bodies.OneCodec:
    shown: bodies.OneCodec = {"codec": row}
    call.headers["ETag"] = make_tag(row["version"], shown)
    return shown
