"""/integrations/codecs over HTTP: kept, tried, and refused where they break what they are tried on."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.platform import Platform
from tests.stack import Stack

pytestmark = pytest.mark.usefixtures("no_codecs")


SOURCE = (
    "function decodeUplink(input) {\n  return { data: { t: input.bytes[0] / 2, port: input.fPort } };\n}\n"
)
FIXTURE = {"name": "cold", "hex": "2b", "f_port": 3, "data": {"t": 21.5, "port": 3}}
MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "devices/+/telemetry"}


def new_codec(platform: Platform, **fields: Any) -> dict[str, Any]:
    return {
        "organization_id": platform.user.organization_id,
        "name": f"Codec {uuid.uuid4()}",
        "kind": "javascript",
        "source": SOURCE,
    } | fields


def create(platform: Platform, **fields: Any) -> dict[str, Any]:
    reply = platform.call("POST", "/integrations/codecs", json=new_codec(platform, **fields))
    assert reply.status_code == 201, reply.text
    return dict(reply.json()["codec"])


def try_bodies(platform: Platform, **fields: Any) -> list[dict[str, Any]]:
    body = {"organization_id": platform.user.organization_id, "kind": "javascript", "source": SOURCE}
    reply = platform.call("POST", "/integrations/codecs/test", json=body | fields)
    assert reply.status_code == 200, reply.text
    return list(reply.json()["results"])


def wrong(reply: httpx.Response, status: int = 422) -> list[tuple[str, str]]:
    assert reply.status_code == status, reply.text
    return [(error["field"], error["message"]) for error in reply.json()["errors"]]


def test_a_codec_is_created_read_listed_changed_and_deleted(admin: Platform) -> None:
    made = admin.call("POST", "/integrations/codecs", json=new_codec(admin, fixtures=[FIXTURE]))
    codec = made.json()["codec"]
    path = f"/integrations/codecs/{codec['id']}"

    read = admin.call("GET", path)
    listed = admin.call("GET", "/integrations/codecs", params={"organization_id": codec["organization_id"]})
    changed = admin.call("PATCH", path, json={"name": "Renamed"}, headers={"If-Match": read.headers["ETag"]})
    stale = admin.call("PATCH", path, json={"name": "Again"}, headers={"If-Match": read.headers["ETag"]})
    deleted = admin.call("DELETE", path)

    assert (made.status_code, made.headers["Location"]) == (201, f"/functions/v1{path}")
    assert read.json()["codec"] == codec
    assert (codec["source"], codec["fixtures"], codec["version"]) == (SOURCE, [FIXTURE], 1)
    assert [(one["id"], "source" in one) for one in listed.json()["codecs"]] == [(codec["id"], False)]
    assert (changed.json()["codec"]["name"], changed.json()["codec"]["version"]) == ("Renamed", 2)
    assert stale.status_code == 412
    assert deleted.status_code == 204
    assert admin.call("GET", path).status_code == 404


def test_bodies_are_tried_before_anything_is_saved(admin: Platform) -> None:
    first, second, third = try_bodies(
        admin, bodies=[{"hex": "2b 00", "f_port": 3}, {"base64": "Kw=="}, {"text": "+", "topic": "a/b"}]
    )

    assert first["data"] == {"t": 21.5, "port": 3}
    assert first["messages"] == [{"payload": {"t": 21.5, "port": 3}}]
    assert (first["ok"], first["warnings"], first["errors"], first["us"] > 0) == (True, [], [], True)
    assert second["data"]["t"] == third["data"]["t"] == 21.5
    assert set(first) == {"ok", "data", "messages", "warnings", "errors", "us"}


def test_commands_and_events_are_tried_too(admin: Platform) -> None:
    source = (
        "function encodeDownlink(i) { return { bytes: [i.data.t * 2, i.fPort], warnings: [i.name, i.topic] } }"
        "function encode(event) { return event.data.t === 1 ? 'one' : new Uint8Array([255]); }"
    )
    body = {"organization_id": admin.user.organization_id, "kind": "javascript", "source": source}
    commands = [{"data": {"t": 1}, "f_port": 7, "name": "set", "topic": "a/b"}, {"data": None}]
    events = [{"data": {"t": 1}}, {"data": {"t": 2}}, {}]

    told = admin.call(
        "POST", "/integrations/codecs/test", json=body | {"commands": commands, "events": events}
    )
    unread = admin.call(
        "POST", "/integrations/codecs/test", json=body | {"source": "function (", "commands": commands[:1]}
    )
    nothing = admin.call("POST", "/integrations/codecs/test", json=body)

    first, second = told.json()["commands"]
    assert told.json()["results"] == []
    assert first == {"ok": True, "hex": "0207", "f_port": 7, "warnings": ["set", "a/b"], "errors": []}
    assert (second["ok"], second["errors"][0][:9]) == (False, "TypeError")
    assert [(one["ok"], one["hex"], one["text"]) for one in told.json()["events"]] == [
        (True, "6f6e65", "one"),
        (True, "ff", None),
        (False, "", None),
    ]
    assert "(line 1" in unread.json()["commands"][0]["errors"][0]
    assert "bodies, commands or events" in wrong(nothing, 400)[0][1]


def test_an_error_names_line_and_column(admin: Platform) -> None:
    source = "function decodeUplink(input) {\n  return { data: input.none.at };\n}"

    (thrown,) = try_bodies(admin, source=source, bodies=[{"hex": "00"}])
    (unread,) = try_bodies(admin, source="function (", bodies=[{"hex": "00"}])

    assert (thrown["ok"], thrown["messages"]) == (False, [])
    assert "(line 2, column" in thrown["errors"][0]
    assert "(line 1, column" in unread["errors"][0]


def test_a_source_that_does_not_compile_is_not_saved(admin: Platform) -> None:
    reply = admin.call("POST", "/integrations/codecs", json=new_codec(admin, source="function ("))

    assert wrong(reply)[0][0] == "source"
    assert "line 1" in wrong(reply)[0][1]


def test_a_change_that_breaks_a_fixture_is_refused_unless_forced(admin: Platform) -> None:
    codec = create(admin, fixtures=[FIXTURE, {"text": "any"}])
    path = f"/integrations/codecs/{codec['id']}"
    other = SOURCE.replace("/ 2", "/ 4")

    refused = admin.call("PATCH", path, json={"source": other})
    unchanged = admin.call("GET", path).json()["codec"]["source"]
    forced = admin.call("PATCH", path, json={"source": other, "force": True})

    ((field, message),) = wrong(refused)
    assert field == "fixtures.0"
    assert '"t":10.75' in message
    assert unchanged == SOURCE
    assert forced.json()["codec"]["source"] == other


def test_a_fixture_may_name_the_messages_and_must_decode_in_any_case(admin: Platform) -> None:
    source = (
        'function decodeUplink(i) { if (!i.text) throw new Error("empty"); '
        "return { messages: [{ payload: 1, device: i.text }] }; }"
    )
    wanted = [{"text": "a", "messages": [{"device": "a"}]}, {"hex": ""}, {"text": "c", "messages": []}]

    refused = admin.call(
        "POST", "/integrations/codecs", json=new_codec(admin, source=source, fixtures=wanted)
    )

    assert [field for field, _ in wrong(refused)] == ["fixtures.1", "fixtures.2"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"hex": "2g"}, "hex"),
        ({"base64": "*"}, "base64"),
        ({"hex": "00", "text": "x"}, "exactly one"),
        ({}, "exactly one"),
        ({"hex": "00", "f_port": 256}, "255"),
    ],
)
def test_a_body_that_is_none_is_refused_with_what_is_expected(
    admin: Platform, body: dict[str, Any], says: str
) -> None:
    sent = {"organization_id": admin.user.organization_id, "kind": "cbor", "bodies": [{"hex": "00"}, body]}

    reply = admin.call("POST", "/integrations/codecs/test", json=sent)

    ((field, message),) = wrong(reply, 400)
    assert field.startswith("bodies.1")
    assert says in message


def test_a_codec_in_use_is_not_deleted_and_the_answer_names_who_uses_it(admin: Platform) -> None:
    codec = create(admin)
    created = admin.create("mqtt", MQTT | {"codec": codec["id"]}, name="Barn", status="inactive")

    in_use = admin.call("DELETE", f"/integrations/codecs/{codec['id']}")
    admin.call("PATCH", f"/integrations/{created['id']}", json={"config": {"codec": None}})
    unused = admin.call("DELETE", f"/integrations/codecs/{codec['id']}")

    assert (in_use.status_code, in_use.json()["code"]) == (409, "conflict")
    assert '"Barn"' in in_use.json()["detail"]
    assert unused.status_code == 204


def test_a_codec_of_another_organization_is_refused_at_save(admin: Platform, stack: Stack) -> None:
    other = Platform(stack, stack.user("admin", 1))
    foreign, own = create(other), create(admin)
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": f"mqtt {uuid.uuid4()}",
        "config": MQTT | {"codec": foreign["id"]},
    }

    created = admin.call("POST", "/integrations", json=body)
    mine = admin.create("mqtt", MQTT | {"codec": own["id"]}, status="inactive")
    changed = admin.call(
        "PATCH", f"/integrations/{mine['id']}", json={"config": {"codec": str(uuid.uuid4())}}
    )

    assert [field for field, _ in wrong(created)] == ["codec"]
    assert [field for field, _ in wrong(changed)] == ["codec"]


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403), ("owner", 201)])
def test_admins_write_and_test_and_members_read(
    stack: Stack, admin: Platform, role: str, status: int
) -> None:
    codec, person = create(admin), Platform(stack, stack.user(role, 0))
    trial = {"organization_id": admin.user.organization_id, "kind": "cbor", "bodies": [{"hex": "00"}]}
    path = f"/integrations/codecs/{codec['id']}"

    made = person.call("POST", "/integrations/codecs", json=new_codec(person))
    tried = person.call("POST", "/integrations/codecs/test", json=trial)

    assert made.status_code == status
    assert tried.status_code == (200 if status == 201 else 403)
    assert person.call("GET", path).json()["codec"]["source"] == SOURCE
    assert person.call("PATCH", path, json={"source": SOURCE + " "}).status_code == (
        200 if status == 201 else 403
    )
    assert person.call("DELETE", path).status_code == (204 if status == 201 else 403)


def test_strangers_see_nothing(stack: Stack, admin: Platform) -> None:
    codec, stranger = create(admin), Platform(stack, stack.user("owner", 1))
    path = f"/integrations/codecs/{codec['id']}"
    trial = {"organization_id": admin.user.organization_id, "kind": "cbor", "bodies": [{"hex": "00"}]}

    assert stranger.call("GET", path).status_code == 404
    assert stranger.call("PATCH", path, json={"name": "Mine"}).status_code == 404
    assert stranger.call("DELETE", path).status_code == 404
    assert stranger.call("POST", "/integrations/codecs/test", json=trial).status_code == 404
    assert stranger.call("GET", "/integrations/codecs").json()["codecs"] == []


def test_a_name_is_taken_once_and_every_change_is_in_the_audit_log(admin: Platform) -> None:
    codec = create(admin, name="Probe")

    taken = admin.call("POST", "/integrations/codecs", json=new_codec(admin, name="Probe"))
    admin.call("PATCH", f"/integrations/codecs/{codec['id']}", json={"source": SOURCE + "\n"})

    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    entries = admin.rows("audit_log", row_id=f"eq.{codec['id']}", order="id")
    assert [(entry["action"], "source" in entry["changed"]) for entry in entries] == [
        ("insert", True),
        ("update", True),
    ]


def test_an_organization_has_so_many_codecs_and_no_more(admin: Platform, stack: Stack) -> None:
    with stack.connect() as connection:
        connection.execute(
            "insert into private.quotas values (%s, 'codecs', 1)", (admin.user.organization_id,)
        )
    try:
        create(admin)
        refused = admin.call("POST", "/integrations/codecs", json=new_codec(admin))
    finally:
        with stack.connect() as connection:
            connection.execute(
                "delete from private.quotas where organization_id is not null and bound = 'codecs'"
            )

    assert (refused.status_code, refused.json()["code"]) == (409, "quota_exceeded")
