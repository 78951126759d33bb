"""The provider for whatever posts and whatever can be polled: what is proven, what is stored, and how often."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.end_to_end.messages.test_codecs import devices_of, make_codec, make_http, messages_of, post
from tests.fakes.background import InBackground
from tests.platform import Platform, run_tick
from tests.stack import Stack

pytestmark = pytest.mark.usefixtures("no_codecs")


HALVES = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2, topic: input.topic } }; }"


def write_answer(said: Any) -> bytes:
    return said if isinstance(said, bytes) else json.dumps(said).encode()


class Api(InBackground):
    """An HTTP API on a real socket: `answer` is given the path and the query, and gives JSON, bytes or a status."""

    def __init__(self, answer: Callable[[str, dict[str, str]], Any]) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {
                    name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()
                }
                api.asked.append((parts.path, query, self.headers.get("Authorization", "")))
                said = api.answer(parts.path, query)
                status, body = (said, b"{}") if isinstance(said, int) else (200, write_answer(said))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"{api.url}/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
                pass

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        self.url = f"http://127.0.0.1:{self.port}"


def issue(admin: Platform, integration_id: str, device: str) -> dict[str, Any]:
    reply = admin.call("POST", f"/integrations/{integration_id}/device-tokens", json={"device": device})
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


def bearer(issued: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {issued['token']}"}


def test_json_is_stored_under_the_device_its_path_names_with_path_and_query_as_topic(admin: Platform) -> None:
    integration_id, proof = make_http(admin, device_path="line/+/up")

    reply = post(admin, f"{integration_id}/line/oven-3/up?shift=2", b'{"temperature": 21}', proof)

    assert (reply.status_code, reply.json()["stored"]) == (202, 1)
    (row,) = messages_of(admin, integration_id)
    assert (row["payload"], row["topic"], row["kind"]) == (
        {"temperature": 21},
        "line/oven-3/up?shift=2",
        "telemetry",
    )
    assert devices_of(admin)[row["device_id"]] == "oven-3"


def test_without_the_secret_nothing_is_stored(admin: Platform) -> None:
    integration_id, _ = make_http(admin)

    replies = [post(admin, integration_id, b"{}", headers) for headers in ({}, {"X-Webhook-Secret": "wrong"})]

    assert [reply.status_code for reply in replies] == [401, 401]
    assert messages_of(admin, integration_id) == []


def test_a_codec_gets_the_bytes_and_the_topic(admin: Platform) -> None:
    integration_id, proof = make_http(admin, codec=make_codec(admin, HALVES), device_parameter="dev")

    post(admin, f"{integration_id}/up?dev=d9", b"\x08", proof)

    (row,) = messages_of(admin, integration_id)
    assert row["payload"] == {"t": 4, "topic": "up?dev=d9"}
    assert devices_of(admin)[row["device_id"]] == "d9"


def test_what_is_sent_again_is_stored_once(admin: Platform) -> None:
    integration_id, proof = make_http(admin)
    keyed = proof | {"Idempotency-Key": str(uuid.uuid4())}

    counts = [post(admin, integration_id, body, keyed).json() for body in (b'{"n": 1}', b'{"n": 1}')]
    others = [
        post(admin, integration_id, b'{"n": 1}', proof | {"Idempotency-Key": key}).json() for key in "ab"
    ]

    assert [count["stored"] for count in counts] == [1, 0]
    assert [count["stored"] for count in others] == [1, 1]


def test_a_form_is_read_as_json(admin: Platform) -> None:
    integration_id, proof = make_http(admin)
    headers = proof | {"Content-Type": "application/x-www-form-urlencoded"}

    post(admin, integration_id, b"device=d1&temperature=21.5", headers)

    (row,) = messages_of(admin, integration_id)
    assert row["payload"] == {"device": "d1", "temperature": "21.5"}
    assert row["kind"] == "telemetry"


def test_a_device_posts_with_its_own_token_and_speaks_for_itself_alone(admin: Platform) -> None:
    integration_id, _ = make_http(admin, device_tokens=True)
    issued = issue(admin, integration_id, "probe-1")

    reply = post(
        admin, f"{integration_id}/devices/victim/up", b'{"device": "victim", "t": 1}', bearer(issued)
    )

    assert reply.status_code == 202
    (row,) = messages_of(admin, integration_id)
    assert devices_of(admin)[row["device_id"]] == "probe-1"


def test_a_codec_can_not_make_a_token_speak_for_another_device(admin: Platform) -> None:
    source = (
        "function decodeUplink() { return { messages: [{ device: 'victim', event_id: '1', payload: {} }] }; }"
    )
    integration_id, proof = make_http(admin, device_tokens=True, codec=make_codec(admin, source))
    issued = issue(admin, integration_id, "probe-1")

    forged = post(admin, integration_id, b"a", bearer(issued)).json()
    own = post(admin, integration_id, b"b", proof).json()

    assert (forged["stored"], own["stored"]) == (1, 1)
    assert [devices_of(admin)[row["device_id"]] for row in messages_of(admin, integration_id)] == [
        "probe-1",
        "victim",
    ]


def test_tokens_are_shown_once_rotated_and_revoked_and_kept_as_hashes(admin: Platform, stack: Stack) -> None:
    integration_id, _ = make_http(admin, device_tokens=True)
    path = f"/integrations/{integration_id}/device-tokens"
    first = issue(admin, integration_id, "probe-1")

    rotated = admin.call(
        "POST", f"{path}/{first['device_token']['id']}/rotate", json={"grace_seconds": 600}
    ).json()
    both = [post(admin, integration_id, b'{"n": 1}', bearer(each)).status_code for each in (first, rotated)]
    cut = admin.call(
        "POST", f"{path}/{rotated['device_token']['id']}/rotate", json={"grace_seconds": 0}
    ).json()
    after = [post(admin, integration_id, b'{"n": 2}', bearer(each)).status_code for each in (rotated, cut)]
    revoked = admin.call("DELETE", f"{path}/{cut['device_token']['id']}")
    gone = post(admin, integration_id, b'{"n": 3}', bearer(cut)).status_code
    listed = admin.call("GET", path)

    assert (both, after, revoked.status_code, gone) == ([202, 202], [401, 202], 204, 401)
    assert first["token"] not in listed.text
    with stack.connect() as connection:
        dump = connection.execute(
            "select t::text, h::text from device_tokens t, private.device_token_hashes h"
        ).fetchall()
    assert not [row for row in dump for token in (first, rotated, cut) if token["token"] in "".join(row)]


def test_a_token_of_another_integration_or_without_the_switch_is_refused(admin: Platform) -> None:
    one, _ = make_http(admin, device_tokens=True)
    other, _ = make_http(admin, device_tokens=True)
    closed, _ = make_http(admin)
    issued = issue(admin, one, "probe-1")

    refused = admin.call("POST", f"/integrations/{closed}/device-tokens", json={"device": "x"})

    assert [post(admin, each, b"{}", bearer(issued)).status_code for each in (one, other, closed)] == [
        202,
        401,
        401,
    ]
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "device_tokens")


@pytest.mark.parametrize(
    ("role", "organization", "status"), [("viewer", 0, 403), ("member", 0, 403), ("owner", 1, 404)]
)
def test_only_admins_give_tokens(
    stack: Stack, admin: Platform, role: str, organization: int, status: int
) -> None:
    integration_id, _ = make_http(admin, device_tokens=True)
    person = Platform(stack, stack.user(role, organization))

    reply = person.call("POST", f"/integrations/{integration_id}/device-tokens", json={"device": "x"})

    assert reply.status_code == status


READINGS: list[dict[str, Any]] = [
    {"id": f"r{number}", "seq": number, "device": "d1", "temperature": number} for number in range(1, 8)
]


def feed(_: str, query: dict[str, str]) -> dict[str, Any]:
    since = int(query["since"] or 0)
    items = [reading for reading in READINGS if reading["seq"] > since][:3]
    return {"data": {"items": items, "last": max([since, *(item["seq"] for item in items)])}}


def poll(admin: Platform, api: Api, **config: Any) -> str:
    usual = {"poll_interval_seconds": 5, "bearer_token": "canary-token-of-the-api"}
    created = admin.create(
        "http", usual | {"webhook_secret": None} | config | {"poll_url": api.url + config["poll_url"]}
    )
    run_tick(admin.stack)
    return str(created["id"])


def poll_again(admin: Platform, integration_id: str) -> None:
    with admin.stack.connect() as connection:
        connection.execute(
            "update integration_schedules set due_at = now() where integration_id = %s", (integration_id,)
        )
    run_tick(admin.stack)


def test_an_api_is_polled_from_its_cursor_on_and_each_item_is_stored_once(admin: Platform) -> None:
    with Api(feed) as api:
        integration_id = poll(
            admin, api, poll_url="/readings?since={cursor}", poll_items="data.items", poll_cursor="data.last"
        )
        READINGS.append({"id": "r8", "seq": 8, "device": "d2", "temperature": 8})
        poll_again(admin, integration_id)
        READINGS.pop()

    rows = messages_of(admin, integration_id)
    assert [row["payload"]["temperature"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [row["event_id"] for row in rows][:2] == ["poll:r1", "poll:r2"]
    assert [query["since"] for _, query, _ in api.asked] == ["", "3", "6", "7", "7", "8"]
    assert {proof for _, _, proof in api.asked} == {"Bearer canary-token-of-the-api"}


def test_pages_are_followed_until_there_is_none_and_nowhere_else(admin: Platform) -> None:
    def answer(path: str, _: dict[str, str]) -> Any:
        number = int(path.rpartition("/")[2])
        return {"items": [{"id": number}], "next": f"{api.url}/page/{number + 1}" if number < 4 else None}

    with Api(answer) as api:
        integration_id = poll(admin, api, poll_url="/page/1", poll_items="items", poll_next="next")

        api.answer = lambda *_: {"items": [{"id": 9}], "next": "http://127.0.0.2:1/elsewhere"}
        poll_again(admin, integration_id)

    assert [row["payload"]["id"] for row in messages_of(admin, integration_id)] == [1, 2, 3, 4, 9]
    told = admin.rows("integration_activity", integration_id=f"eq.{integration_id}", select="message")
    assert any("not at the host of poll_url" in row["message"] for row in told)


def test_what_is_polled_is_decoded_by_the_codec_too(admin: Platform) -> None:
    codec = make_codec(admin, "{messages: readings[].{device: to_string(@.d), payload: {v: v}}}", "jmespath")
    reply = {"id": "only", "readings": [{"d": "a", "v": 1}, {"d": "b", "v": 2}]}

    with Api(lambda *_: reply) as api:
        integration_id = poll(admin, api, poll_url="/all", codec=codec)
        poll_again(admin, integration_id)

    rows = messages_of(admin, integration_id)
    assert [(row["event_id"], row["payload"]) for row in rows] == [
        ("poll:only", {"v": 1}),
        ("poll:only#2", {"v": 2}),
    ]


@pytest.mark.parametrize("levels", [150, 900, 3_000])
def test_one_item_that_is_nested_too_deep_costs_no_other_of_its_page(admin: Platform, levels: int) -> None:
    deep = '{"id":2,"v":' + "[" * levels + "]" * levels + "}"
    page = '{"items":[{"id":1},' + deep + ',{"id":3}]}'

    with Api(lambda *_: page.encode()) as api:
        integration_id = poll(admin, api, poll_url="/all", poll_items="items")

    first, second, third = sorted(messages_of(admin, integration_id), key=lambda row: str(row["event_id"]))
    assert (first["payload"], third["payload"]) == ({"id": 1}, {"id": 3})
    assert (second["payload"], second["raw"].replace(" ", ""), bool(second["error"])) == (None, deep, True)


def test_an_api_that_fails_is_told_and_nothing_is_skipped(admin: Platform) -> None:
    with Api(feed) as api:
        api.answer = lambda *_: 403
        integration_id = poll(
            admin, api, poll_url="/readings?since={cursor}", poll_items="data.items", poll_cursor="data.last"
        )
        shown = admin.call("GET", f"/integrations/{integration_id}").json()["integration"]
        api.answer = feed
        poll_again(admin, integration_id)

    assert (shown["status"], "403" in shown["error_message"]) == ("error", True)
    assert len(messages_of(admin, integration_id)) == 7


def test_the_connection_test_says_what_each_way_would_bring(admin: Platform) -> None:
    with Api(feed) as api:
        config = {
            "webhook_secret": f"secret-{uuid.uuid4()}",
            "poll_url": f"{api.url}/readings?since={{cursor}}",
            "poll_items": "data.items",
            "codec": make_codec(admin, HALVES),
        }
        body = {"organization_id": admin.user.organization_id, "integration_type": "http", "config": config}
        verdict = admin.call("POST", "/integrations/test", json=body).json()

    assert verdict["ok"], verdict
    assert [check["name"] for check in verdict["checks"]] == ["codec", "receive", "poll"]
    assert "poll:r1" in verdict["checks"][2]["detail"]


def test_what_comes_no_way_at_all_is_refused(admin: Platform) -> None:
    body = {"organization_id": admin.user.organization_id, "integration_type": "http", "name": "None"}

    made = admin.call("POST", "/integrations", json=body | {"config": {"webhook_secret": None}})
    generated = admin.call("POST", "/integrations", json=body | {"config": {}})

    assert made.status_code == 422
    assert generated.json()["generated"]["webhook_secret"]


def test_unsigned_clients_need_no_content_type(admin: Platform) -> None:
    integration_id, proof = make_http(admin)

    reply = httpx.post(
        f"{admin.stack.url}/functions/v1/receive/{integration_id}",
        content=b"not json",
        headers=proof,
        timeout=60,
    )

    assert reply.json() == {"received": 1, "stored": 0, "duplicates": 0, "failed": 1}
