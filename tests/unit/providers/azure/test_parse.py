"""What Event Grid posts of a hub: both schemas say the same, batches, bodies of every kind, status in its order."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest

from shared.provider import Message, PushedRequest, StoredBody, Unauthenticated
from shared.provider.decoding.storable import is_too_deep
from tests.fakes.azure.event_grid import (
    Event,
    Schema,
    Subscription,
    make_connection,
    make_event,
    make_telemetry,
)
from tests.unit.providers.azure.account import SECRET, make_azure

SCHEMAS: tuple[Schema, ...] = ("grid", "cloud")


def parse(*events: Event, schema: Schema = "grid", **config: Any) -> list[Message]:
    body = Subscription("", schema).write(*events)
    return make_azure(**config).parse(PushedRequest({"content-type": "application/json"}, body))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_both_schemas_say_the_same_of_telemetry(schema: Schema) -> None:
    event = make_telemetry("pump-1", {"Weather": {"temperature": 21.5}}, {"alarm": "no"})

    (message,) = parse(event, schema=schema)

    assert (message.event_id, message.device, message.kind) == (event["id"], "pump-1", "telemetry")
    assert (message.topic, message.payload) == ("telemetry", {"Weather": {"temperature": 21.5}})
    assert message.metadata == {"properties": {"alarm": "no"}}
    assert message.observed_at is not None
    assert (message.error, message.device_status) == (None, None)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_batch_is_all_its_events_in_their_order(schema: Schema) -> None:
    messages = parse(*(make_telemetry("a", {"n": number}) for number in range(50)), schema=schema)

    assert [message.payload for message in messages] == [{"n": number} for number in range(50)]
    assert len({message.event_id for message in messages}) == 50


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("levels", [98, 1_100])
def test_one_that_is_nested_too_deep_costs_no_other_of_its_batch(schema: Schema, levels: int) -> None:
    events = [make_telemetry("a", {"n": number}) for number in range(99)]
    good = Subscription("", schema).write(*events).removesuffix(b"]")
    deep = Subscription("", schema).write(make_telemetry("evil", {"n": "here"})).decode()
    deep = deep.removeprefix("[").removesuffix("]").replace('"here"', "[" * levels + "]" * levels)

    messages = make_azure().parse(PushedRequest({}, good + b"," + deep.encode() + b"]"))

    assert [each.payload for each in messages if not each.error] == [{"n": number} for number in range(99)]
    (bad,) = [each for each in messages if each.error]
    assert (bad.raw, is_too_deep(bad.error)) == (deep, True)


@pytest.mark.parametrize(
    ("body", "said", "payload", "kind"),
    [
        (b'{"t":1}', {}, {"t": 1}, "telemetry"),
        (b'{"t":1}', {"iothub-content-type": "application/json"}, {"t": 1}, "telemetry"),
        (cbor2.dumps({"t": 1}), {"iothub-content-type": "application/cbor"}, {"t": 1}, "telemetry"),
        (b"21.5", {}, {"value": 21.5}, "telemetry"),
        (5, {}, {"value": 5}, "telemetry"),
        (b"", {}, None, "event"),
        (b"", {"iothub-content-type": "application/octet-stream"}, None, "event"),
        (
            None,
            {"iothub-content-type": "application/json", "iothub-content-encoding": "utf-8"},
            None,
            "event",
        ),
        ("a text", {}, "a text", "event"),
        ([1, 2], {}, [1, 2], "event"),
    ],
)
def test_a_body_is_what_the_device_says_that_it_is(body: Any, said: Any, payload: Any, kind: str) -> None:
    (message,) = parse(make_telemetry("a", body, None, **said))

    assert (message.error, message.payload, message.kind) == (None, payload, kind)


def test_bytes_are_kept_for_a_codec_and_decoded_when_there_is_json_in_them() -> None:
    (message,) = parse(make_telemetry("a", b"\x00\xff\x01"))

    assert message.error is not None
    assert base64.b64decode(message.raw or "") == b"\x00\xff\x01"
    assert (message.device, message.topic) == ("a", "telemetry")
    ((again,),) = make_azure().decode([StoredBody(b'{"t":1}', "e", "telemetry", "a")])
    assert (again.event_id, again.device, again.payload) == ("e", "a", {"t": 1})


def test_a_body_that_is_no_base64_fails_alone() -> None:
    wrong = make_telemetry("a", b"")
    wrong["data"]["body"] = "%%%"

    first, second = parse(wrong, make_telemetry("b", {"t": 1}))

    assert (first.error, first.raw) == ("The body is not base64.", "%%%")
    assert second.error is None


def test_a_time_of_the_payloads_own_counts_then_the_devices_then_the_hubs() -> None:
    made = {"iothub-creation-time-utc": "2026-01-02T03:04:05.0000000Z"}

    (by_hub,) = parse(make_telemetry("a", {"t": 1}))
    (by_device,) = parse(make_telemetry("a", {"t": 1}, None, **made))
    (own,) = parse(make_telemetry("a", {"at": 1767323046}, None, **made), timestamp_path="at")

    assert by_hub.observed_at is not None
    assert by_hub.observed_at > "2026-02"
    assert by_device.observed_at == "2026-01-02T03:04:05+00:00"
    assert own.observed_at == "2026-01-02T03:04:06+00:00"


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("status", ["online", "offline"])
def test_coming_and_going_is_ordered_by_the_sequence_number(schema: Schema, status: str) -> None:
    messages = parse(*(make_connection("a", status, number) for number in (255, 256)), schema=schema)

    orders = [
        message.report.presence.order for message in messages if message.report and message.report.presence
    ]
    assert len(orders) == 2
    assert orders == sorted(orders)
    assert {(message.topic, message.device_status) for message in messages} == {("status", "unheard")}
    assert [message.payload for message in messages] == [{"status": status}] * 2


def test_a_modules_coming_is_not_the_devices() -> None:
    (message,) = parse(make_connection("a", "online", 1, moduleId="camera"))

    assert (message.topic, message.report) == ("status/camera", None)
    assert message.payload == {"status": "online", "module": "camera"}


def test_a_device_that_is_made_or_deleted_is_an_event_about_it() -> None:
    twin = {"deviceId": "a", "etag": "AAAA"}
    made, gone = parse(
        *(make_event(kind, "a", {"twin": twin}) for kind in ("DeviceCreated", "DeviceDeleted"))
    )

    assert (made.topic, made.payload, made.device) == ("registry", {"change": "created", "twin": twin}, "a")
    assert (gone.payload["change"], gone.device_status) == ("deleted", "unheard")


def test_an_event_of_another_hub_is_kept_and_told() -> None:
    other = make_telemetry("a", {"t": 1}) | {
        "topic": "/subscriptions/1/providers/Microsoft.Devices/IotHubs/other"
    }

    (message,) = parse(other)

    assert message.error == "The event is of another hub than host_name."
    assert parse(other, host_name=None)[0].error is None


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"[]", b"{}", b"5", b'[{"id":"1"}]', b"[[],5]", b"[" * 100_000],
)
def test_whatever_is_no_event_is_kept_with_a_reason(body: bytes) -> None:
    (message,) = make_azure().parse(PushedRequest({}, body))

    assert message.error
    assert (message.payload, message.device) == (None, None)


def test_a_remark_promises_no_raw_that_is_not_there() -> None:
    messages = parse(make_telemetry("a", {"t": float("nan")}), make_telemetry("b", {"t": 1}))

    assert [message.payload for message in messages] == [{"t": None}, {"t": 1}]
    assert all(message.remark and "raw" not in message.remark for message in messages)


@pytest.mark.parametrize("odd", [5, None, [], "\ud800", {}, {"id": "1"}, {"id": 5, "eventType": "x"}])
def test_what_is_no_event_spoils_no_other_of_its_batch(odd: Any) -> None:
    first, last = make_telemetry("a", {"t": 1}), make_telemetry("b", {"t": 2})

    one, kept, two = parse(first, odd, last)
    again = parse(first, odd, last)[1]

    assert [(one.event_id, one.payload), (two.event_id, two.payload)] == [
        (first["id"], {"t": 1}),
        (last["id"], {"t": 2}),
    ]
    assert kept.error is not None
    assert kept.error.startswith("Not events of Event Grid's")
    assert kept.event_id == again.event_id
    assert kept.device is None


def orders_of(*said: Any) -> list[str]:
    events = [make_connection("a", "online", 1) for _ in said]
    for event, sequence in zip(events, said, strict=True):
        event["data"]["deviceConnectionStateEventInfo"] = {"sequenceNumber": sequence}
    reports = [message.report for message in parse(*events)]
    return [report.presence.order for report in reports if report and report.presence]


@pytest.mark.parametrize("odd", [None, "", 17, "no number", "F" * 81, "2026-01-01", "-1", "\u0661"])
def test_an_odd_sequence_number_holds_up_none_that_follows(odd: Any) -> None:
    first, second = orders_of(odd, odd)
    (following,) = orders_of("1")

    assert "" < first <= second < following


@pytest.mark.parametrize("data", [None, 5, [], {"body": None}, {"systemProperties": 5}])
def test_an_event_without_its_data_is_no_crash(data: Any) -> None:
    for kind in ("DeviceTelemetry", "DeviceConnected", "DeviceCreated", "SomethingNew"):
        (message,) = parse(make_event(kind, "a", {}) | {"data": data})

        assert message.device == "a"


def test_the_handshake_is_answered_with_its_code_and_stores_nothing() -> None:
    event = {
        "id": "1",
        "topic": "t",
        "subject": "",
        "data": {"validationCode": "512d38b6", "validationUrl": "https://rp.eventgrid.azure.net/validate"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    }
    request = PushedRequest({}, json.dumps([event]).encode())
    azure = make_azure()

    answer = azure.answer_push(request, {})

    assert azure.parse(request) == []
    assert answer is not None
    assert (json.loads(answer.text), answer.media) == ({"validationResponse": "512d38b6"}, "application/json")
    assert azure.answer_push(PushedRequest({}, Subscription("").write(make_telemetry("a", {}))), {}) is None


@pytest.mark.parametrize(
    ("headers", "query", "is_proven"),
    [
        ({"x-webhook-secret": SECRET}, "", True),
        ({}, f"code={SECRET}", True),
        ({}, f"a=b&code={SECRET}", True),
        ({"x-webhook-secret": "wrong"}, f"code={SECRET}", False),
        ({}, "code=wrong", False),
        ({}, "", False),
        ({}, "code=", False),
        ({}, "&".join("a=1" for _ in range(200)) + f"&code={SECRET}", False),
    ],
)
def test_the_secret_comes_in_a_header_or_in_the_address(
    headers: dict[str, str],
    query: str,
    is_proven: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    request = PushedRequest(headers, b"[]", "", query)

    if is_proven:
        make_azure().verify(request)
    else:
        with pytest.raises(Unauthenticated):
            make_azure().verify(request)


def test_the_previous_secret_counts_while_it_rotates() -> None:
    azure = make_azure(webhook_secret="another-0123456789", previous_webhook_secret=SECRET)

    azure.verify(PushedRequest({}, b"", "", f"code={SECRET}"))


def test_only_event_grid_is_greeted() -> None:
    azure = make_azure()

    assert azure.greet(PushedRequest({"webhook-request-origin": "eventgrid.azure.net"}, b"")) == {
        "WebHook-Allowed-Origin": "eventgrid.azure.net",
        "WebHook-Allowed-Rate": "*",
    }
    assert azure.greet(PushedRequest({"webhook-request-origin": "evil.example"}, b"")) == {}
