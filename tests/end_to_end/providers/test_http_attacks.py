"""What senders and APIs may do to the http provider: nothing is lost, doubled, followed elsewhere or asked for ever."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from subprocess import Popen
from typing import Any

import httpx
import pytest

from tests.end_to_end.messages.test_codecs import devices_of, make_codec, make_http, messages_of, post
from tests.end_to_end.providers.test_http import Api, bearer, issue, poll, poll_again
from tests.platform import Platform
from tests.stack import Stack

pytestmark = pytest.mark.usefixtures("no_codecs")


PATHS = [
    "..",
    "../..",
    "%2e%2e/%2e%2e/integrations",
    "a//b///c",
    "a%2Fb",
    "a%00b",
    "%ff%fe",
    "%F0%9F%98%80/up",
    "line/%20/up",
    "line/+/up",
    "line/%23/up",
    "line/" + "x" * 3_000 + "/up",
    "/".join("x" * 400),
    ";a=b",
    "line/d?q=" + "y" * 6_000,
    "line/d?" + "&".join(f"a{n}=1" for n in range(800)),
    "line/d?dev=%00",
    "line/d?dev=",
    "line/d?dev=a&dev=b",
    "line/d?%",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_path_and_no_query_breaks_a_receiver(admin: Platform, path: str) -> None:
    integration_id, proof = make_http(admin, device_path="line/+/up", device_parameter="dev")

    proven = post(admin, f"{integration_id}/{path}", b'{"t": 1}', proof)
    unproven = post(admin, f"{integration_id}/{path}", b'{"t": 1}', {})

    assert proven.status_code in {202, 400, 401, 404, 414}, proven.text
    assert unproven.status_code in {400, 401, 404, 414}, unproven.text
    assert len(messages_of(admin, integration_id)) == (proven.status_code == 202)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
def test_only_posting_brings_anything(admin: Platform, method: str) -> None:
    integration_id, proof = make_http(admin)

    reply = httpx.request(
        method, f"{admin.stack.url}/functions/v1/receive/{integration_id}/up", headers=proof, timeout=60
    )

    assert reply.status_code == 405
    assert "POST" in reply.headers["Allow"]


def test_a_device_can_not_take_the_name_of_anothers_message(admin: Platform) -> None:
    integration_id, secret = make_http(admin, device_tokens=True)
    one, other, odd = (bearer(issue(admin, integration_id, name)) for name in ("a", "a:b", ":k"))

    replies = [
        post(admin, integration_id, b'{"t": 1}', proof | {"Idempotency-Key": key})
        for proof, key in (
            (one, "b:c"),
            (other, "c"),
            (odd, "x"),
            (secret, "k:x"),
            (secret, ":k:x"),
            (one, "b:c"),
        )
    ]

    assert [reply.json()["stored"] for reply in replies] == [1, 1, 1, 1, 1, 0]


def test_who_guesses_tokens_gets_nowhere_and_keeps_nobody_out(admin: Platform) -> None:
    integration_id, _ = make_http(admin, device_tokens=True)
    issued = issue(admin, integration_id, "probe")

    def guess(number: int) -> int:
        token = f"dvt_{number:043d}"
        # An address of its own, as for a while all that is not proven is refused in another way to who guesses.
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.3"}
        return post(admin, integration_id, b"{}", headers).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(guess, range(300)))
        own = post(admin, integration_id, b'{"t": 1}', bearer(issued))

    assert set(answers) <= {401, 429}
    assert own.status_code == 202


@pytest.mark.parametrize(
    "mangle", [str.upper, str.swapcase, lambda token: token[:-1], lambda token: token + "A"]
)
def test_a_token_is_that_token_and_no_other(admin: Platform, mangle: Callable[[str], str]) -> None:
    integration_id, _ = make_http(admin, device_tokens=True)
    issued = issue(admin, integration_id, "probe")

    replies = [
        post(admin, integration_id, b"{}", headers)
        for headers in (
            {"Authorization": f"Bearer {mangle(issued['token'])}"},
            {"X-Device-Token": mangle(issued["token"])},
            {"Authorization": f"Basic {issued['token']}"},
            {"X-Webhook-Secret": issued["token"]},
        )
    ]
    within = post(admin, f"{integration_id}?token={issued['token']}", b"{}", {})

    assert {reply.status_code for reply in (*replies, within)} == {401}


def test_an_api_that_answers_the_same_page_for_ever_is_not_asked_for_ever(admin: Platform) -> None:
    def answer(path: str, _: dict[str, str]) -> Any:
        return {"items": [{"id": 1}, {"id": 2}], "next": f"{api.url}{path}1", "last": str(time.time())}

    with Api(answer) as api:
        by_pages = poll(admin, api, poll_url="/page", poll_items="items", poll_next="next")
        asked = len(api.asked)
        by_cursor = poll(admin, api, poll_url="/c?c={cursor}", poll_items="items", poll_cursor="last")

    assert asked <= 3
    assert len(api.asked) - asked <= 3
    assert [len(messages_of(admin, each)) for each in (by_pages, by_cursor)] == [2, 2]


def test_an_api_whose_pages_go_round_is_not_asked_for_ever(admin: Platform) -> None:
    def answer(*_: object) -> Any:
        number = len(api.asked) % 3
        return {"items": [{"id": number}], "last": str(time.time())}

    with Api(answer) as api:
        integration_id = poll(admin, api, poll_url="/c?c={cursor}", poll_items="items", poll_cursor="last")
        asked = len(api.asked)

    assert asked <= 8
    assert len(messages_of(admin, integration_id)) == 3


def test_an_empty_page_that_names_the_next_is_not_the_end(admin: Platform) -> None:
    def answer(path: str, _: dict[str, str]) -> Any:
        number = int(path.rpartition("/")[2])
        items = [] if number in {1, 3} else [{"id": number}]
        return {"items": items, "next": f"/page/{number + 1}" if number < 4 else None}

    with Api(answer) as api:
        integration_id = poll(admin, api, poll_url="/page/1", poll_items="items", poll_next="next")

    assert [row["payload"]["id"] for row in messages_of(admin, integration_id)] == [2, 4]


@pytest.mark.parametrize("next_page", ["?page=2", "two", "/pages/two", "../pages/two?x=1"])
def test_a_next_page_may_be_relative(admin: Platform, next_page: str) -> None:
    def answer(*_: object) -> Any:
        first = len(api.asked) == 1
        return {"items": [{"id": len(api.asked)}], "next": next_page if first else None}

    with Api(answer) as api:
        integration_id = poll(admin, api, poll_url="/pages/one", poll_items="items", poll_next="next")

    assert len(messages_of(admin, integration_id)) == 2


@pytest.mark.parametrize(
    "next_page",
    [
        "http://169.254.169.254/latest/meta-data",
        "//169.254.169.254/latest",
        "file:///etc/passwd",
        "http://user:word@127.0.0.1:1/",
        "http://[::1",
        "javascript:alert(1)",
        "x" * 10_000,
        "/a\u0000b",
        ["/a"],
        {"href": "/a"},
    ],
    ids=range(10),
)
def test_no_next_page_leads_elsewhere(admin: Platform, next_page: object) -> None:
    with Api(lambda *_: {"items": [{"id": len(api.asked)}], "next": next_page}) as api:
        integration_id = poll(admin, api, poll_url="/pages/one", poll_items="items", poll_next="next")
        asked = [path for path, _, _ in api.asked]

    shown = admin.call("GET", f"/integrations/{integration_id}").json()["integration"]
    assert set(asked) == {"/pages/one"}
    assert len(messages_of(admin, integration_id)) == 1 or "poll_next" in shown["error_message"]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.{cursor}/x",
        "https://{page}",
        "https://a:{cursor}/x",
        "https://{cursor}@b.com/",
        "{page}//a",
    ],
)
def test_no_cursor_chooses_the_host(admin: Platform, url: str) -> None:
    body = {"organization_id": admin.user.organization_id, "integration_type": "http", "name": "None"}

    made = admin.call("POST", "/integrations", json=body | {"config": {"poll_url": url}})

    assert made.status_code == 422
    assert made.json()["errors"][0]["field"] == "poll_url"


def test_no_redirect_is_followed(admin: Platform) -> None:
    with Api(lambda *_: 302) as api:
        integration_id = poll(admin, api, poll_url="/readings")

    shown = admin.call("GET", f"/integrations/{integration_id}").json()["integration"]
    assert {path for path, _, _ in api.asked} == {"/readings"}
    assert "302" in shown["error_message"]


@pytest.mark.parametrize(
    "body",
    [
        b'[{"id": "a", "t": 1}, {"id": "b", "text": "\\ud83d"}, {"id": "c", "t": 3}]',
        b'[{"id": "a", "t": 1}, {"id": "b\\u0000", "text": "\\u0000"}, {"id": "c", "t": 3}]',
        b'[{"id": "a", "t": 1}, {"id": "b", "t": NaN}, {"id": "c", "t": 3}]',
        b'\xef\xbb\xbf[{"id": "a", "t": 1}, {"id": "b"}, {"id": "c", "t": 3}]',
        b'[{"id": "a", "t": 1}, 5, {"id": "c", "t": 3}]',
        b'[{"id": "a", "t": 1}, {"id": {"x": 1}}, {"id": "c", "t": 3}]',
        b'[{"id": "a", "t": 1}, ' + b'{"x": ' * 300 + b"1" + b"}" * 300 + b', {"id": "c", "t": 3}]',
    ],
    ids=["half a pair", "NUL", "NaN", "byte order mark", "a number", "an object as key", "deep"],
)
def test_an_item_that_is_odd_keeps_no_other_from_being_stored(admin: Platform, body: bytes) -> None:
    with Api(lambda *_: body) as api:
        integration_id = poll(admin, api, poll_url="/readings")
        poll_again(admin, integration_id)

    stored = messages_of(admin, integration_id)
    assert len(stored) == 3
    assert {"poll:a", "poll:c"} <= {row["event_id"] for row in stored if not row["error"]}


@pytest.mark.parametrize("seed", range(2))
def test_whatever_ends_a_poll_each_item_is_stored_once(
    admin: Platform, stack: Stack, start_worker: Callable[[], Popen[bytes]], seed: int
) -> None:
    codec = make_codec(admin, "function decodeUplink(i) { return { data: JSON.parse(i.text) }; }")

    def answer(_: str, query: dict[str, str]) -> Any:
        since = int(query["since"] or 0)
        time.sleep(0.02)
        items = [{"id": f"r{n}", "seq": n} for n in range(since + 1, min(since + 8, 401))]
        return {"items": items, "last": items[-1]["seq"] if items else since}

    with Api(answer) as api:
        config = {"poll_url": f"{api.url}/r?since={{cursor}}", "poll_items": "items", "poll_cursor": "last"}
        made = admin.create(
            "http", config | {"poll_interval_seconds": 5, "codec": codec, "webhook_secret": None}
        )
        for _ in range(6):
            worker = start_worker()
            time.sleep(1.2 + 0.35 * seed)
            worker.kill()
            worker.wait()
            free(stack, made["id"])
        poll_again(admin, made["id"])
        poll_again(admin, made["id"])

    stored = messages_of(admin, made["id"])
    assert sorted(row["payload"]["seq"] for row in stored) == list(range(1, 401))
    assert {row["error"] for row in stored} == {None}


def free(stack: Stack, integration_id: str) -> None:
    """What time does by itself within a minute: the lease of who was killed ends."""
    with stack.connect() as connection:
        connection.execute(
            "update integration_schedules set due_at = now(), lease_token = null where integration_id = %s",
            (integration_id,),
        )


def test_times_of_items_that_can_not_be_are_not_believed_and_the_item_is_kept(admin: Platform) -> None:
    items = [
        {"id": str(number), "timestamp": told, "t": 1}
        for number, told in enumerate(
            [0, -1, 1e308, "9999-12-31T23:59:59Z", "yesterday", 4102444800, None, [1]]
        )
    ]
    with Api(lambda *_: items) as api:
        integration_id = poll(admin, api, poll_url="/readings")

    stored = messages_of(admin, integration_id)
    assert len(stored) == len(items)
    assert {row["error"] for row in stored} == {None}
    assert all(row["observed_at"][:4] == row["received_at"][:4] for row in stored)


def test_a_device_is_not_made_of_what_is_no_name(admin: Platform) -> None:
    integration_id, proof = make_http(admin, device_path="line/+/up", device_parameter="dev")
    names = ["%00", "x" * 600, "%20", ""]

    for number, name in enumerate(names):
        keyed = proof | {"Idempotency-Key": f"{uuid.uuid4()}-{number}"}
        assert post(admin, f"{integration_id}/other?dev={name}", b'{"t": 1}', keyed).status_code == 202

    assert [
        name for name in devices_of(admin).values() if "\0" in name or len(name) > 512 or not name.strip()
    ] == []
