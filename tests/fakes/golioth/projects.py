"""The project itself."""

from __future__ import annotations

from tests.fakes.golioth.server import Call, Reply, route


@route("GET", "/projects/{project}")
def get_project(call: Call) -> Reply:
    call.fake.check_project(call)
    times = {"createdAt": "2026-01-02T03:04:05.123Z", "updatedAt": "2026-01-02T03:04:05.123Z"}
    names = {"id": call.fake.project_id, "name": "Sensors", "organizationId": call.fake.organization_id}
    return Reply({"data": names | times})
