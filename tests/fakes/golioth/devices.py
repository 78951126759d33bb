"""Devices, as documents by their id in `store["devices"]`."""

from __future__ import annotations

from tests.fakes.golioth.server import Call, Reply, route


@route("GET", "/projects/{project}/devices")
def list_devices(call: Call) -> Reply:
    call.fake.check_project(call)
    return call.page(list(call.fake.store["devices"].values()))
