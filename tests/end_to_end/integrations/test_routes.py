"""/integrations over HTTP, as each kind of caller meets it."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import jwt
import pytest

from tests.platform import Platform
from tests.stack import Stack

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "devices/+/telemetry"}
SECRET = "canary-password-7731"


def problem(reply: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert reply.headers["Content-Type"] == "application/problem+json"
    document = reply.json()
    assert document["status"] == reply.status_code
    assert {"type", "title", "detail"} <= set(document)
    return reply.status_code, document["code"]


def new_body(platform: Platform, **fields: Any) -> dict[str, Any]:
    body = {
        "organization_id": platform.user.organization_id,
        "integration_type": "mqtt",
        "name": f"Broker {uuid.uuid4()}",
        "config": MQTT,
    }
    return body | fields


def test_a_created_integration_shows_its_config_and_only_the_names_of_its_secrets(admin: Platform) -> None:
    config = MQTT | {"username": "u", "password": SECRET}

    reply = admin.call("POST", "/integrations", json=new_body(admin, config=config))

    created = reply.json()["integration"]
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/functions/v1/integrations/{created['id']}"
    assert (created["secrets"], created["status"], created["device_count"]) == (["password"], "active", 0)
    assert created["config"]["username"] == "u"
    assert SECRET not in reply.text
    assert created["created_by"] == admin.user.id


def test_the_credentials_are_sealed_in_the_database(admin: Platform, stack: Stack) -> None:
    created = admin.create("mqtt", MQTT | {"username": "u", "password": SECRET})

    with stack.connect() as connection:
        row = connection.execute(
            "select api_key_encrypted, settings::text from device_integrations where id = %s",
            (created["id"],),
        ).fetchone()

    assert row is not None
    sealed, settings = row
    assert sealed.split(".")[0]
    assert SECRET not in sealed + settings


def test_the_config_may_come_as_a_json_string_in_api_key_encrypted(admin: Platform) -> None:
    body = new_body(admin, api_key_encrypted='{"broker_url": "mqtt://broker.example.com", "port": 1883, "username": '
                    '"user", "password": "pass", "use_tls": true, "topics": "devices/+/telemetry"}')  # fmt: skip
    del body["config"]

    reply = admin.call("POST", "/integrations", json=body)

    assert reply.status_code == 201, reply.text
    assert reply.json()["integration"]["config"]["use_tls"] is True
    assert reply.json()["integration"]["secrets"] == ["password"]


def test_the_list_pages_through_everything_once(admin: Platform) -> None:
    made = {admin.create("mqtt", MQTT)["id"] for _ in range(5)}

    seen: list[str] = []
    cursor = None
    while True:
        query = {
            "organization_id": admin.user.organization_id,
            "limit": "2",
            **({"cursor": cursor} if cursor else {}),
        }
        page = admin.call("GET", "/integrations", params=query).json()
        seen += [row["id"] for row in page["integrations"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert made <= set(seen)
    assert len(seen) == len(set(seen))


def test_the_list_filters_by_type_and_status(admin: Platform) -> None:
    active = admin.create("mqtt", MQTT)
    inactive = admin.create("mqtt", MQTT, status="inactive")

    reply = admin.call(
        "GET", "/integrations", params={"integration_type": "mqtt", "status": "inactive", "limit": "200"}
    )

    ids = {row["id"] for row in reply.json()["integrations"]}
    assert inactive["id"] in ids
    assert active["id"] not in ids


def test_one_integration_can_be_read_by_path_and_by_query(admin: Platform) -> None:
    created = admin.create("mqtt", MQTT)

    by_path = admin.call("GET", f"/integrations/{created['id']}").json()
    by_query = admin.call("GET", "/integrations", params={"id": created["id"]}).json()

    assert by_path == by_query == {"integration": created}


def test_a_patch_merges_config_keeps_absent_secrets_and_removes_on_null(admin: Platform) -> None:
    created = admin.create("mqtt", MQTT | {"username": "u", "password": SECRET})

    kept = admin.call("PATCH", f"/integrations/{created['id']}", json={"config": {"topics": ["other/#"]}})
    removed = admin.call("PATCH", f"/integrations/{created['id']}", json={"config": {"password": None}})

    assert kept.json()["integration"]["config"]["topics"] == ["other/#"]
    assert kept.json()["integration"]["secrets"] == ["password"]
    assert removed.json()["integration"]["secrets"] == []
    assert removed.json()["integration"]["config"]["username"] == "u"


@pytest.mark.parametrize("form", ["path", "query", "body"])
def test_the_id_of_a_change_may_stand_in_path_query_or_body(admin: Platform, form: str) -> None:
    created = admin.create("mqtt", MQTT)
    name = f"Renamed {uuid.uuid4()}"
    path = f"/integrations/{created['id']}" if form == "path" else "/integrations"
    query = {"id": created["id"]} if form == "query" else {}
    own = {"id": created["id"]} if form == "body" else {}

    changed = admin.call("PATCH", path, params=query, json={"name": name} | own)
    deleted = admin.call("DELETE", path, params=query, **({"json": own} if own else {}))

    assert changed.json()["integration"]["name"] == name
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_deleting_keeps_the_devices(admin: Platform, stack: Stack) -> None:
    created = admin.create("mqtt", MQTT)
    with stack.connect() as connection:
        connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name) values (%s, %s, 'd', 'Kept one')",
            (admin.user.organization_id, created["id"]),
        )

    counted = admin.call("GET", f"/integrations/{created['id']}").json()["integration"]["device_count"]
    admin.call("DELETE", f"/integrations/{created['id']}")

    assert counted == 1
    (device,) = admin.rows("devices", name="eq.Kept one", select="integration_id")
    assert device["integration_id"] is None


def test_a_name_can_be_taken_once_in_an_organization(admin: Platform) -> None:
    body = new_body(admin)
    admin.call("POST", "/integrations", json=body)

    assert problem(admin.call("POST", "/integrations", json=body)) == (409, "conflict")


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_below_admin_everything_can_be_read_and_nothing_changed(
    stack: Stack, admin: Platform, role: str
) -> None:
    created = admin.create("mqtt", MQTT)
    caller = Platform(stack, stack.user(role, 0))
    path = f"/integrations/{created['id']}"
    unsaved = {"organization_id": admin.user.organization_id, "integration_type": "mqtt", "config": MQTT}

    refused = [
        caller.call("POST", "/integrations", json=new_body(caller)),
        caller.call("PATCH", path, json={"name": "Mine"}),
        caller.call("PATCH", path, json={"config": {"topics": "#"}}),
        caller.call("DELETE", path),
        caller.call("POST", f"{path}/test"),
        caller.call("POST", "/integrations/test", json=unsaved),
    ]

    assert caller.call("GET", path).json() == {"integration": created}
    assert [problem(reply) for reply in refused] == [(403, "forbidden")] * 6
    assert admin.call("GET", path).json() == {"integration": created}


@pytest.mark.parametrize("outsider", [("owner", 1), ("stranger", 0)])
def test_for_strangers_it_does_not_exist(stack: Stack, admin: Platform, outsider: tuple[str, int]) -> None:
    created = admin.create("mqtt", MQTT)
    stranger = Platform(stack, stack.user(*outsider))
    path = f"/integrations/{created['id']}"
    in_alpha = {"organization_id": admin.user.organization_id}
    unsaved = {"integration_type": "mqtt", "config": MQTT} | in_alpha

    refused = [
        stranger.call("GET", path),
        stranger.call("POST", "/integrations", json=new_body(stranger, **in_alpha)),
        stranger.call("PATCH", path, json={"name": "Mine"}),
        stranger.call("PATCH", path, json={"config": {"topics": "#"}}),
        stranger.call("DELETE", path),
        stranger.call("POST", f"{path}/test"),
        stranger.call("POST", "/integrations/test", json=unsaved),
    ]

    assert [problem(reply) for reply in refused] == [(404, "not_found")] * 7
    listed = stranger.call("GET", "/integrations", params=in_alpha)
    assert {name: listed.json()[name] for name in ("integrations", "next_cursor")} == {
        "integrations": [],
        "next_cursor": None,
    }


def forge(stack: Stack, **claims: Any) -> str:
    now = int(time.time())
    valid = {
        "sub": stack.user("admin", 0).id,
        "role": "authenticated",
        "aud": "authenticated",
        "iss": f"{stack.url}/auth/v1",
        "iat": now,
        "exp": now + 600,
    }
    return jwt.encode(valid | claims, stack.jwt_secret, algorithm="HS256")


def test_a_token_signed_with_the_legacy_secret_is_accepted(stack: Stack, admin: Platform) -> None:
    reply = admin.call("GET", "/integrations", headers={"Authorization": f"Bearer {forge(stack)}"})

    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"aud": "other"},
        {"iss": "https://elsewhere.example/auth/v1"},
        {"role": "anon"},
        {"role": "service_role"},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(stack: Stack, admin: Platform, claims: dict[str, Any]) -> None:
    reply = admin.call("GET", "/integrations", headers={"Authorization": f"Bearer {forge(stack, **claims)}"})

    assert problem(reply) == (401, "unauthenticated")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("kind", ["missing", "garbage", "forged", "none", "anon", "service"])
def test_without_a_session_nothing_is_answered(stack: Stack, admin: Platform, kind: str) -> None:
    token = {
        "missing": "",
        "garbage": "Bearer a.b.c",
        "forged": f"Bearer {jwt.encode({'sub': 'x', 'role': 'authenticated'}, 'w' * 40, algorithm='HS256')}",
        "none": f"Bearer {jwt.encode({'sub': 'x', 'role': 'authenticated'}, '', algorithm='none')}",
        "anon": f"Bearer {stack.anon_key}",
        "service": f"Bearer {stack.service_role_key}",
    }[kind]

    reply = admin.call("GET", "/integrations", headers={"Authorization": token})

    assert problem(reply) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b'{"name": NaN}', 400),
        (b"[" * 100_000, 400),
        (b'{"x": "' + b"y" * 1_100_000 + b'"}', 413),
    ],
)
def test_a_malformed_body_is_named_so_and_nothing_is_written(
    admin: Platform, body: bytes, status: int
) -> None:
    before = admin.rows("device_integrations", select="id")

    reply = admin.call("POST", "/integrations", content=body, headers={"Content-Type": "application/json"})

    assert problem(reply)[0] == status
    assert admin.rows("device_integrations", select="id") == before


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"organization_id": "not-a-uuid"}, 400, "organization_id"),
        ({"organization_id": 7}, 400, "organization_id"),
        ({"name": ""}, 400, "name"),
        ({"name": "   "}, 400, "name"),
        ({"name": 5}, 400, "name"),
        ({"name": "x" * 300}, 400, "name"),
        ({"status": "error"}, 400, "status"),
        ({"config": "text"}, 400, "config"),
        ({"surprise": 1}, 400, "surprise"),
        ({"integration_type": "carrier_pigeon"}, 422, "integration_type"),
        ({"integration_type": "../errors"}, 422, "integration_type"),
        ({"config": {}}, 422, "broker_url"),
        ({"config": MQTT | {"surprise": SECRET}}, 422, "surprise"),
        ({"config": MQTT | {"port": 70_000}}, 422, "port"),
        ({"config": MQTT | {"password": {"nested": SECRET}}}, 422, "password"),
    ],
)
def test_a_wrong_field_is_named_without_its_value(
    admin: Platform, fields: dict[str, Any], status: int, field: str
) -> None:
    reply = admin.call("POST", "/integrations", json=new_body(admin, **fields))

    assert problem(reply)[0] == status
    assert field in [error["field"] for error in reply.json()["errors"]]
    assert SECRET not in reply.text


def test_a_body_that_is_not_json_by_its_type_is_refused(admin: Platform) -> None:
    reply = admin.call("POST", "/integrations", content=b"{}", headers={"Content-Type": "text/plain"})

    assert problem(reply) == (415, "unsupported_media_type")


def test_an_unknown_method_is_refused_with_those_that_exist(admin: Platform) -> None:
    reply = admin.call("PUT", "/integrations")

    assert problem(reply) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "DELETE, GET, OPTIONS, PATCH, POST"


def test_browsers_may_call_from_their_origin(stack: Stack) -> None:
    reply = httpx.options(
        f"{stack.url}/functions/v1/integrations",
        headers={"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"},
        timeout=60,
    )

    assert reply.status_code == 204
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert "PATCH" in reply.headers["Access-Control-Allow-Methods"]
    assert "apikey" in reply.headers["Access-Control-Allow-Headers"]


def test_the_request_id_comes_back_or_is_made(admin: Platform) -> None:
    own = admin.call("GET", "/integrations", headers={"X-Request-Id": "mine-1"})
    made = admin.call("GET", "/integrations")

    assert own.headers["X-Request-Id"] == "mine-1"
    assert uuid.UUID(made.headers["X-Request-Id"])


def test_the_catalogue_marks_secrets_write_only(admin: Platform) -> None:
    types = {entry["type"]: entry for entry in admin.call("GET", "/integrations/types").json()["types"]}

    assert {"mqtt", "webhook"} <= set(types)
    assert types["mqtt"]["config_schema"]["properties"]["password"]["anyOf"][0]["writeOnly"] is True
    assert "session" in types["mqtt"]["capabilities"]
    assert "deliver" in types["webhook"]["capabilities"]


def test_a_connection_test_runs_the_saved_config_step_by_step(stack: Stack, admin: Platform) -> None:
    host, port = stack.mqtt_url.removeprefix("mqtt://").split(":")
    created = admin.create("mqtt", MQTT | {"broker_url": f"mqtt://{host}", "port": int(port)})

    reply = admin.call("POST", f"/integrations/{created['id']}/test")

    assert reply.json()["ok"] is True, reply.text
    assert all({"name", "ok", "detail", "ms"} == set(check) for check in reply.json()["checks"])


def test_the_catalogue_says_that_topics_are_a_list_or_a_comma_separated_text(admin: Platform) -> None:
    types = {entry["type"]: entry for entry in admin.call("GET", "/integrations/types").json()["types"]}

    fields = types["mqtt"]["config_schema"]["properties"]
    forms = [{form["type"] for form in fields[name]["anyOf"]} for name in ("topics", "alpn")]
    assert forms == [{"array", "string"}] * 2


@pytest.mark.parametrize(("port", "failed", "level"), [(None, None, "info"), (9, "tcp", "warning")])
def test_a_connection_test_stands_in_the_activity_with_the_step_that_failed(
    stack: Stack, admin: Platform, port: int | None, failed: str | None, level: str
) -> None:
    host, broker_port = stack.mqtt_url.removeprefix("mqtt://").split(":")
    address = {"broker_url": f"mqtt://{host}", "port": port or int(broker_port)}
    created = admin.create("mqtt", MQTT | address | {"password": SECRET, "username": "u"})

    admin.call("POST", f"/integrations/{created['id']}/test")

    (entry,) = admin.call("GET", f"/integrations/{created['id']}/activity").json()["activity"]
    assert (entry["kind"], entry["level"]) == ("test", level)
    assert entry["details"] == {"ok": failed is None, "failed": failed, "user_id": admin.user.id}
    assert SECRET not in str(entry)


def test_a_connection_test_of_an_unsaved_config_says_what_failed(admin: Platform) -> None:
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "config": MQTT | {"port": 9},
    }

    reply = admin.call("POST", "/integrations/test", json=body)

    assert reply.status_code == 200, reply.text
    assert reply.json()["ok"] is False
    assert any(not check["ok"] and check["detail"] for check in reply.json()["checks"])


def test_a_change_whose_body_names_another_integration_is_refused(admin: Platform) -> None:
    one, other = admin.create("mqtt", MQTT), admin.create("mqtt", MQTT)

    reply = admin.call("PATCH", f"/integrations/{one['id']}", json={"id": other["id"], "name": "Whose?"})

    assert problem(reply) == (409, "conflict")
    assert admin.call("GET", f"/integrations/{one['id']}").json() == {"integration": one}


def test_a_filter_by_a_status_there_is_not_is_refused_and_not_an_empty_list(admin: Platform) -> None:
    reply = admin.call("GET", "/integrations", params={"status": "activ"})

    assert problem(reply)[0] == 400
    assert [error["field"] for error in reply.json()["errors"]] == ["status"]


@pytest.mark.parametrize(
    "path", ["/integrations", "/integrations/types", "/integrations/{id}", "/integrations/{id}/deliveries"]
)
def test_a_misspelt_parameter_is_refused_by_name_and_not_an_unfiltered_list(
    admin: Platform, path: str
) -> None:
    created = admin.create("mqtt", MQTT)

    reply = admin.call("GET", path.format(**created), params={"stauts": "active"})

    assert problem(reply) == (400, "bad_request")
    assert [error["field"] for error in reply.json()["errors"]] == ["stauts"]


def test_an_event_that_nothing_sends_is_refused_by_its_field(admin: Platform) -> None:
    config = {"url": "https://hooks.example.com/a", "events": ["telemetri"]}

    reply = admin.call(
        "POST", "/integrations", json=new_body(admin, config=config) | {"integration_type": "webhook"}
    )

    assert problem(reply) == (422, "invalid_config")
    assert [error["field"] for error in reply.json()["errors"]] == ["events"]


def test_null_means_absent_when_creating_and_testing(admin: Platform) -> None:
    config = MQTT | {"port": None, "qos": None, "alpn": None, "username": None, "payload_format": None}
    body = new_body(admin, config=config) | {"status": None}
    body_of_test = {name: body[name] for name in ("organization_id", "integration_type", "config")}

    created = admin.call("POST", "/integrations", json=body)
    tested = admin.call("POST", "/integrations/test", json=body_of_test)

    assert created.status_code == 201, created.text
    integration = created.json()["integration"]
    assert (integration["status"], set(integration["config"])) == ("active", set(MQTT) - {"port"})
    assert tested.status_code == 200, tested.text


def test_null_for_a_secret_that_would_be_made_means_none(admin: Platform) -> None:
    config = {
        "url": "https://hooks.example.com/a",
        "signing_secret": None,
        "headers": {"X-A": None, "X-B": "b"},
    }

    reply = admin.call(
        "POST", "/integrations", json=new_body(admin, config=config) | {"integration_type": "webhook"}
    )

    assert reply.status_code == 201, reply.text
    assert "generated" not in reply.json()
    assert reply.json()["integration"]["secrets"] == []
    assert reply.json()["integration"]["config"]["headers"] == {"X-B": "b"}


def test_a_delete_without_an_id_says_so(admin: Platform) -> None:
    reply = admin.call("DELETE", "/integrations")

    assert problem(reply) == (400, "bad_request")
    assert "?id=" in reply.json()["detail"]


def test_a_delete_that_names_two_integrations_is_refused(admin: Platform) -> None:
    one, other = admin.create("mqtt", MQTT), admin.create("mqtt", MQTT)

    reply = admin.call("DELETE", f"/integrations?id={one['id']}", json={"id": other["id"]})

    assert problem(reply) == (409, "conflict")
    assert admin.call("GET", f"/integrations/{one['id']}").status_code == 200


def test_a_problem_is_sent_with_its_length(admin: Platform) -> None:
    reply = admin.call("GET", f"/integrations/{uuid.uuid4()}")

    assert int(reply.headers["Content-Length"]) == len(reply.content)


@pytest.mark.parametrize("path", ["/integrations/types", "/integrations/test"])
def test_a_named_path_is_not_taken_for_an_id(admin: Platform, path: str) -> None:
    assert problem(admin.call("PATCH", path, json={"name": "x"})) == (405, "method_not_allowed")
