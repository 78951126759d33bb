"""What Particle pushes is stored once and answered with nothing, whatever it is: its rating is of a whole host."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.end_to_end.messages.test_codecs import make_codec, messages_of
from tests.end_to_end.messages.test_receive import database_away
from tests.end_to_end.providers.particle.site import receive_only
from tests.fakes.particle.senders import FORMS, JSON, as_form, by_bare_mustache, by_template, make_event
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("no_codecs")

FIRST = "function decodeUplink(input) { return { data: { t: input.bytes[1] / 2 } }; }"
DEVICE = "0123456789abcdef01234567"
BINARY = "data:application/octet-stream;base64,ACs="


def device_of(admin: Platform, integration_id: str) -> dict[str, Any]:
    (device,) = admin.rows("devices", integration_id=f"eq.{integration_id}", select="*")
    return device


def test_every_form_of_an_event_is_stored_once_and_answered_with_nothing(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    bodies = [
        FORMS[form](make_event(data=f'{{"n":{number}}}'), f"e-{number}") for number, form in enumerate(FORMS)
    ]

    statuses = [sender.post(body) for body in [*bodies, *reversed(bodies)]]

    assert set(statuses) == {202}
    assert {reply.content for reply in sender.replies} == {b""}
    stored = messages_of(admin, integration_id)
    assert [row["payload"] for row in stored] == [{"n": number} for number in range(len(bodies))]
    assert {row["error"] for row in stored} == {None}
    assert device_of(admin, integration_id)["external_id"] == DEVICE


def test_what_is_no_event_is_kept_and_taken_all_the_same(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    content, headers = by_bare_mustache(make_event())

    assert [sender.post((content, headers)), sender.post((b"\x00\xff", {}))] == [202, 202]
    assert {reply.content for reply in sender.replies} == {b""}
    assert not sender.is_sleeping
    stored = messages_of(admin, integration_id)
    assert all(row["error"] for row in stored)
    assert stored[0]["raw"] == content.decode()


def test_only_a_wrong_secret_is_refused(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    sender.headers = {"X-Webhook-Secret": "wrong"}

    assert sender.post(by_template(make_event())) == 401
    assert messages_of(admin, integration_id) == []


def test_basic_authentication_proves_it_as_well(admin: Platform) -> None:
    basic = {"webhook_authentication": "basic", "webhook_username": "particle"}
    integration_id, sender = receive_only(admin, **basic)
    sender.headers = {"Authorization": "Basic cGFydGljbGU6cGFydGljbGUtd2ViaG9vay1zZWNyZXQtMDEyMw=="}

    assert sender.post(by_template(make_event())) == 202
    assert len(messages_of(admin, integration_id)) == 1


def test_coming_and_going_counts_in_the_order_of_its_time_however_it_arrives(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    going = make_event("spark/status", "offline", published_at="2026-05-13T10:55:12.885Z")
    coming = make_event("spark/status", "online", published_at="2026-05-13T10:55:12.898Z")

    for event in (coming, going):
        assert sender.post(by_template(event)) == 202
    swapped = device_of(admin, integration_id)["status"]
    assert sender.post(by_template(going | {"published_at": "2026-05-13T10:56:00.000Z"})) == 202

    assert (swapped, device_of(admin, integration_id)["status"]) == ("online", "offline")
    topics = [row["topic"] for row in messages_of(admin, integration_id)]
    assert topics == ["status"] * 3


def test_a_codec_decodes_what_is_binary_and_a_replay_what_came_before_it(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    assert sender.post(by_template(make_event(data=BINARY))) == 202
    codec = make_codec(admin, FIRST)
    changed = admin.call("PATCH", f"/integrations/{integration_id}", json={"config": {"codec": codec}})
    assert changed.status_code == 200, changed.text

    assert sender.post(by_template(make_event(data=BINARY))) == 202
    replayed = admin.call("POST", f"/integrations/{integration_id}/messages/replay", json={}).json()

    assert replayed["stored"] == 1
    assert [row["payload"] for row in messages_of(admin, integration_id)] == [{"t": 21.5}] * 2
    assert {reply.content for reply in sender.replies} == {b""}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def test_nothing_is_lost_or_stored_twice_while_the_database_restarts(
    admin: Platform, threads: ThreadPoolExecutor
) -> None:
    integration_id, sender = receive_only(admin)
    assert sender.post(by_template(make_event("spark/status", "online"), "begin")) == 202
    bodies = [by_template(make_event(data=f'{{"n":{number}}}'), f"e-{number}") for number in range(16)]

    with database_away(admin.stack):
        sent = [threads.submit(sender.deliver, body) for body in bodies]
        time.sleep(1)
    assert all(each.result() for each in sent)
    assert all(threads.map(sender.deliver, bodies))

    stored = [row for row in messages_of(admin, integration_id) if row["topic"] == "data/temp"]
    assert sorted(row["event_id"] for row in stored) == sorted(f"e-{number}" for number in range(16))
    assert sender.dropped == []


def test_events_that_nothing_tells_from_each_other_are_each_stored(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    event = {"event": "data/temp", "data": "21.5", "coreid": "0123456789abcdef01234567"}
    body = (json.dumps(event).encode(), JSON)

    assert [sender.post(body), sender.post(body)] == [202, 202]
    assert [row["payload"] for row in messages_of(admin, integration_id)] == [{"value": 21.5}] * 2


def test_a_form_of_a_webhook_with_nothing_set_up_has_no_id_and_is_stored_once(admin: Platform) -> None:
    integration_id, sender = receive_only(admin)
    body = as_form(make_event(data="21.5"))

    assert [sender.post(body), sender.post(body)] == [202, 202]
    assert [row["payload"] for row in messages_of(admin, integration_id)] == [{"value": 21.5}]
