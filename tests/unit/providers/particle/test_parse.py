"""What Particle's webhooks push: every form says the same, what is no event is kept, the cloud has its own events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.provider import Message, PushedRequest, StoredBody
from shared.providers.particle import Particle
from tests.fakes.particle.senders import FORMS, by_bare_mustache, by_default, by_template, make_event
from tests.unit.providers.particle.account import make_particle

DEVICE = "0123456789abcdef01234567"
AT = "2026-01-02T03:04:05.678Z"


def parse(body: tuple[bytes, dict[str, str]], **config: Any) -> Message:
    content, headers = body
    request = PushedRequest({name.lower(): value for name, value in headers.items()}, content)
    (message,) = make_particle(**config).parse(request)
    return message


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_body_says_the_same(form: str) -> None:
    message = parse(
        FORMS[form](make_event(data='{"t":21.5,"said":"\\"hot\\" & <dry>"}', published_at=AT), "0f8a")
    )

    assert message.error is None
    assert (message.device, message.topic, message.kind) == (DEVICE, "data/temp", "telemetry")
    assert message.payload == {"t": 21.5, "said": '"hot" & <dry>'}
    assert message.observed_at == "2026-01-02T03:04:05.678000+00:00"


@pytest.mark.parametrize("form", FORMS)
def test_what_is_sent_again_has_the_same_id_and_another_event_another(form: str) -> None:
    event = make_event(published_at=AT)

    first, again = (parse(FORMS[form](event, "0f8a")) for _ in range(2))
    other = parse(FORMS[form](event | {"data": '{"t":22}'}, "0f8b"))

    assert first.event_id == again.event_id != other.event_id


def test_the_event_id_is_particles_own_where_the_template_has_it() -> None:
    assert parse(by_template(make_event(), "0f8a-1")).event_id == "0f8a-1"


@pytest.mark.parametrize("name", ["data/temp", "spark/status"])
def test_a_remark_promises_no_raw_that_is_not_there(name: str) -> None:
    event = {"event": name, "data": "online", "coreid": DEVICE, "published_at": AT, "ttl": float("nan")}
    content = json.dumps(event).encode()

    message = parse((content, {}))

    assert message.remark is not None
    assert "raw" not in message.remark
    assert (message.error, message.raw) == (None, None)


def test_an_id_that_is_the_devices_own_tells_no_event_from_another() -> None:
    first, second = (
        parse(by_template(make_event(data=data, published_at=AT), DEVICE)) for data in ("1", "2")
    )

    assert first.event_id != second.event_id


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("form", FORMS)
def test_a_body_is_what_it_is_and_not_what_it_is_called(form: str, content_type: str) -> None:
    content, _ = FORMS[form](make_event(data="5"), "0f8a")

    message = parse((content, {"Content-Type": content_type}))

    assert (message.error, message.device, message.payload) == (None, DEVICE, {"value": 5})


def test_a_placeholder_that_nothing_has_filled_in_counts_as_absent() -> None:
    body, headers = by_template(make_event())
    told = json.loads(body) | {"id": "{{{PARTICLE_EVENT_ID}}}", "product_id": "{{{PRODUCT_ID}}}"}

    message = parse((json.dumps(told).encode(), headers))

    assert "{" not in message.event_id
    assert message.error is None


def test_quotes_in_a_bare_template_are_kept_with_the_reason() -> None:
    content, headers = by_bare_mustache(make_event())

    message = parse((content, headers))

    assert message.error is not None
    assert message.raw == content.decode()
    assert (message.device, message.kind) == (None, "event")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"5",
        b"{}",
        b'{"event":5,"coreid":"x"}',
        b'{"event_b64":"%%"}',
        b'{"event_b64":5}',
        b'{"event_b64":"' + base64.b64encode(b"[1]") + b'"}',
        b"a=b&c=d",
        b"event=x",
        b"[" * 100_000,
        b"&".join(b"a=1" for _ in range(1_000)),
    ],
)
@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-www-form-urlencoded"])
def test_whatever_is_no_event_is_kept_with_a_reason(content: bytes, content_type: str) -> None:
    message = parse((content, {"Content-Type": content_type}))

    assert message.error
    assert (message.payload, message.device) == (None, None)


def test_an_event_of_another_product_is_kept_and_told() -> None:
    message = parse(by_template(make_event(productID=999)))

    assert message.error == "The event is of another product than product_id."
    assert parse(by_template(make_event(productID=999)), product_id="tempmon").error is None


@pytest.mark.parametrize(
    ("data", "kind", "payload"),
    [
        ("21.5", "telemetry", {"value": 21.5}),
        ("hello", "event", {"data": "hello"}),
        ("", "event", {"data": ""}),
        (None, "event", {"data": ""}),
        ("[1,2]", "event", {"data": "[1,2]"}),
        ('{"open":true}', "event", {"open": True}),
        ({"t": 1}, "telemetry", {"t": 1}),
    ],
)
def test_what_a_device_publishes_is_a_value_or_data(data: Any, kind: str, payload: Any) -> None:
    message = parse(by_template(make_event(data=data)))

    assert (message.error, message.kind, message.payload) == (None, kind, payload)


def test_a_data_url_is_kept_as_its_bytes_for_a_codec() -> None:
    url = "data:application/octet-stream;base64," + base64.b64encode(b"\x00\x2b").decode()

    message = parse(by_template(make_event(data=url), "0f8a"))

    assert message.error is not None
    assert "codec" in message.error
    assert base64.b64decode(message.raw or "") == b"\x00\x2b"
    assert (message.device, message.topic, message.event_id) == (DEVICE, "data/temp", "0f8a")


def test_an_id_and_a_time_of_the_payloads_own_count() -> None:
    data = '{"time":1767323045,"meta":{"n":7},"t":1}'

    one, two = (
        parse(by_template(make_event(data=data)), event_id_path="meta.n", timestamp_path="time")
        for _ in range(2)
    )

    assert one.event_id == two.event_id == f"own:{DEVICE}:7"
    assert one.observed_at == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("status", ["online", "offline"])
def test_coming_and_going_is_the_devices_status_in_the_order_of_its_time(status: str) -> None:
    message = parse(by_template(make_event("spark/status", status, published_at=AT)))

    assert (message.kind, message.topic, message.device_status) == ("state", "status", "unheard")
    assert message.payload == {"status": status, "firmware_version": "3"}
    assert message.report is not None
    assert message.report.presence is not None
    assert (message.report.presence.status, message.report.presence.order) == (status, message.observed_at)


@pytest.mark.parametrize(
    ("data", "state"), [("started ", "downloading"), ("success ", "downloaded"), ("failed ", "failed")]
)
def test_a_flash_is_firmware(data: str, state: str) -> None:
    message = parse(by_template(make_event("spark/flash/status", data)))

    assert (message.topic, message.device_status) == ("firmware/main", "unheard")
    assert message.payload["state"] == state
    assert message.payload["firmware_version"] == "3"


@pytest.mark.parametrize(
    ("name", "data", "payload"),
    [
        ("spark/device/app-hash", "09ad0870", {"data": "09ad0870", "firmware_version": "3"}),
        (
            "spark/device/last_reset",
            "panic, hard_fault",
            {"data": "panic, hard_fault", "firmware_version": "3"},
        ),
        ("spark/status", "auto-update", {"data": "auto-update", "firmware_version": "3"}),
        ("particle/device/updates/pending", "true", {"data": "true", "firmware_version": "3"}),
        ("spark/device/diagnostics/update", '{"device":{}}', {"device": {}, "firmware_version": "3"}),
    ],
)
def test_what_else_the_cloud_says_is_an_event_about_the_device(name: str, data: str, payload: Any) -> None:
    message = parse(by_template(make_event(name, data)))

    assert (message.error, message.kind, message.topic) == (None, "event", name)
    assert (message.payload, message.device_status) == (payload, "unheard")


@pytest.mark.parametrize("core", ["api", "particle-internal"])
def test_the_cloud_itself_is_no_device(core: str) -> None:
    message = parse(by_template(make_event("particle/firmware/release", '{"version":1}', core)))

    assert (message.device, message.error) == (None, None)


@pytest.mark.parametrize(("locked", "has_place"), [(1, True), (0, False)])
def test_a_location_without_a_fix_has_no_place(locked: int, has_place: bool) -> None:  # noqa: FBT001
    place = {"lck": locked, "time": 1767323045, "lat": 48.2, "lon": 16.4, "batt": 81.5}
    data = json.dumps({"cmd": "loc", "time": 1767323050, "loc": place, "trig": ["time"], "req_id": 1})

    message = parse(by_template(make_event("loc", data)))

    assert message.kind == "telemetry"
    assert ("lat" in message.payload, message.payload["batt"]) == (has_place, 81.5)
    assert message.payload["trig"] == ["time"]
    assert message.observed_at == "2026-01-02T03:04:05+00:00"


def test_what_was_kept_is_decoded_by_todays_config() -> None:
    particle: Particle = make_particle()
    whole, _ = by_default(make_event())

    first, second = particle.decode(
        [StoredBody(whole, "h"), StoredBody(b'{"t":1}', "0f8a", "data/temp", DEVICE, AT)]
    )

    assert [each.payload for each in first] == [{"t": 21.5}]
    assert [(each.event_id, each.payload, each.device) for each in second] == [("0f8a", {"t": 1}, DEVICE)]


def test_what_a_device_published_speaks_for_no_other_when_it_is_decoded_again() -> None:
    other, _ = by_default(make_event(coreid="f" * 24))

    ((message,),) = make_particle().decode([StoredBody(other, "0f8a", "data/temp", DEVICE, AT)])

    assert message.device == DEVICE
