"""What rules push: one message or several, whatever is in them, each under an id that stays the same."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import Message, PushedRequest, Report, StoredBody
from shared.provider.decoding.storable import is_too_deep
from shared.provider.messages import Presence
from tests.fakes.aws.rules import select_all, select_bytes, tell_lost
from tests.unit.providers.aws_iot.accounts import load_aws

TS = 1_767_323_045_123
AT = "2026-01-02T03:04:05.123000+00:00"
SECRET = "w" * 20
HEADERS = {"x-webhook-secret": SECRET, "content-type": "application/json"}


def parse(body: object, **config: Any) -> list[Message]:
    aws = load_aws({"region": "eu-west-1", "webhook_secret": SECRET} | config)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return aws.receive(PushedRequest(HEADERS, raw))


def test_a_message_is_what_the_device_sent_with_what_aws_knows_of_it() -> None:
    (message,) = parse(select_bytes("devices/pump-1/telemetry", b'{"t": 21.5}', "pump-1", TS, "id-1"))

    assert (message.device, message.topic, message.payload) == (
        "pump-1",
        "devices/pump-1/telemetry",
        {"t": 21.5},
    )
    assert (message.kind, message.observed_at, message.event_id) == ("telemetry", AT, "aws:pump-1:id-1")


def test_what_is_selected_whole_is_told_apart_from_what_aws_adds() -> None:
    (message,) = parse(select_all("devices/pump-1/telemetry", {"t": 21.5}, "pump-1", TS))

    assert (message.payload, message.device, message.observed_at) == ({"t": 21.5}, "pump-1", AT)


def test_a_batch_is_as_many_messages_each_with_its_own_device() -> None:
    batch = [select_bytes(f"devices/d{n}/telemetry", b'{"n": %d}' % n, f"d{n}", TS) for n in range(10)]

    messages = parse(batch)

    assert [(each.device, each.payload) for each in messages] == [(f"d{n}", {"n": n}) for n in range(10)]
    assert len({each.event_id for each in messages}) == 10
    assert [each.event_id for each in parse(batch)] == [each.event_id for each in messages]


@pytest.mark.parametrize("levels", [100, 1_100])
def test_one_that_is_nested_too_deep_costs_no_other_of_its_batch(levels: int) -> None:
    good = [json.dumps(select_all(f"devices/d{n}/telemetry", {"n": n}, f"d{n}", TS)) for n in range(9)]
    deep = f'{{"topic":"devices/evil/telemetry","x":{"[" * levels}{"]" * levels}}}'

    messages = parse(f"[{','.join([*good[:5], deep, *good[5:]])}]".encode())

    assert [each.payload for each in messages if not each.error] == [{"n": n} for n in range(9)]
    (bad,) = [each for each in messages if each.error]
    assert (bad.raw, is_too_deep(bad.error)) == (deep, True)
    assert {each.event_id for each in messages} >= {each.event_id for each in parse(good[0].encode())}


def test_one_that_is_wrong_in_a_batch_costs_no_other() -> None:
    batch = [
        select_bytes("devices/a/telemetry", b"\xff\xfe", "a", TS),
        select_bytes("devices/b/telemetry", b'{"t": 1}', "b", TS) | {"payload_base64": "not base64!"},
        7,
        select_bytes("devices/c/telemetry", b'{"t": 1}', "c", TS),
    ]

    binary, wrong, bare, good = parse(batch)

    assert (binary.device, binary.error is not None, base64.b64decode(binary.raw or "")) == (
        "a",
        True,
        b"\xff\xfe",
    )
    assert (wrong.device, wrong.error) == ("b", "payload_base64 is not base64.")
    assert (bare.device, bare.payload) == (None, {"value": 7})
    assert (good.device, good.error) == ("c", None)


@pytest.mark.parametrize(
    ("topic", "client", "config", "device"),
    [
        ("devices/pump-1/up", "gateway", {}, "gateway"),
        ("devices/pump-1/up", "n/a", {}, "pump-1"),
        ("plant/pump-2/up", "gateway", {"device_topic": "plant/+/up"}, "pump-2"),
        ("other/pump-2/up", "gateway", {"device_topic": "plant/+/up"}, "gateway"),
        ("plain", "", {}, None),
    ],
)
def test_the_device_is_the_client_unless_the_config_has_it_in_the_topic(
    topic: str, client: str, config: dict[str, Any], device: str | None
) -> None:
    (message,) = parse(select_bytes(topic, b"{}", client, TS), **config)

    assert message.device == device


@pytest.mark.parametrize(("what", "status"), [("connected", "online"), ("disconnected", "offline")])
def test_coming_and_going_is_told_by_aws_itself(what: str, status: Literal["online", "offline"]) -> None:
    presence = {"clientId": "pump-1", "timestamp": TS, "eventType": what, "versionNumber": 3}

    (message,) = parse(
        select_bytes(f"$aws/events/presence/{what}/pump-1", json.dumps(presence).encode(), "n/a", TS)
    )

    assert (message.device, message.kind, message.device_status, message.observed_at) == (
        "pump-1",
        "state",
        "unheard",
        AT,
    )
    assert message.report == Report(presence=Presence(status, AT, AT))


def test_coming_and_going_that_says_no_moment_has_that_of_the_rule_or_counts_as_it_arrives() -> None:
    gone = select_bytes("$aws/events/presence/disconnected/pump-1", b'{"timestamp": "x"}', "n/a", TS)

    (by_rule,) = parse(gone)
    (arrived,) = parse({name: value for name, value in gone.items() if name != "ts"})

    assert by_rule.report == Report(presence=Presence("offline", AT, AT))
    assert (arrived.device_status, arrived.report, arrived.observed_at) == ("offline", None, None)


def test_what_aws_says_twice_is_known_by_its_content_whatever_the_rule_calls_it() -> None:
    topic, body = "$aws/events/presence/connected/pump-1", b'{"timestamp": %d, "versionNumber": 3}' % TS
    said = [select_bytes(topic, body, "n/a", TS), select_bytes(topic, body, "n/a", TS + 5)]

    ids = {each.event_id for each in parse([*said, tell_lost(topic, body, "n/a")])}

    assert len(ids) == 1


def test_what_a_device_asks_of_its_shadow_twice_is_twice() -> None:
    topic = "$aws/things/pump-1/shadow/get"

    ids = {each.event_id for each in parse([select_bytes(topic, b"{}", "pump-1", TS) for _ in range(2)])}

    assert len(ids) == 2


def test_a_client_that_its_own_next_connection_replaces_has_not_gone() -> None:
    told = {"clientId": "pump-1", "timestamp": TS, "disconnectReason": "DUPLICATE_CLIENTID"}

    (message,) = parse(
        select_bytes("$aws/events/presence/disconnected/pump-1", json.dumps(told).encode(), "n/a", TS)
    )

    assert (message.device_status, message.report, message.payload) == ("unheard", None, told)


def test_a_shadow_is_state_of_its_thing_which_was_not_heard() -> None:
    topic = "$aws/things/pump-1/shadow/update/documents"

    (message,) = parse(select_bytes(topic, b'{"current": {"state": {}}}', "n/a", TS))

    assert (message.device, message.kind, message.device_status) == ("pump-1", "state", "unheard")


@pytest.mark.parametrize("codec", [{}, {"codec": "00000000-0000-0000-0000-00000000000c"}])
def test_our_own_commands_are_no_messages(codec: dict[str, str]) -> None:
    config = {"command_topic": "devices/{device}/commands/{name}"} | codec
    batch = [
        select_bytes("devices/pump-1/commands/reboot", b"{}", "pump-1", TS),
        select_bytes("devices/pump-1/telemetry", b"{}", "pump-1", TS),
    ]

    messages = parse(batch, **config)

    assert [(each.topic, each.observed_at) for each in messages] == [("devices/pump-1/telemetry", AT)]


def test_what_aws_gave_up_is_what_the_device_sent_when_it_is_posted_again() -> None:
    lost = tell_lost("devices/pump-1/telemetry", b"\xff{", "pump-1")

    (message,), (again,) = parse(lost), parse(lost)

    assert (message.device, message.topic, message.raw) == ("pump-1", "devices/pump-1/telemetry", "/3s=")
    assert message.event_id == again.event_id
    assert [each.device for each in parse([lost, tell_lost("t", b"{}", "pump-2")])] == ["pump-1", "pump-2"]


def test_what_aws_gave_up_of_comings_and_goings_is_told_of_who_came() -> None:
    (message,) = parse(tell_lost("$aws/events/presence/connected/pump-1", b'{"timestamp": %d}' % TS, "n/a"))

    assert (message.device, message.observed_at) == ("pump-1", AT)
    assert message.report == Report(presence=Presence("online", AT, AT))


def test_a_device_can_not_speak_for_another_by_what_looks_given_up() -> None:
    (message,) = parse(select_all("devices/a/t", tell_lost("devices/victim/t", b"{}", "victim"), "a", TS))

    assert (message.device, message.topic) == ("a", "devices/a/t")


def test_a_device_can_not_speak_for_another_where_its_bytes_are_selected() -> None:
    claim = json.dumps(
        {"clientid": "victim", "topic": "devices/victim/x", "id": "same", "device_id": "victim"}
    ).encode()

    messages = [
        parse(select_bytes("devices/pump-1/x", claim, "pump-1", TS, "id-1"), device_id_path="nothing")
        for _ in range(2)
    ]

    assert {(each.device, each.topic, each.event_id) for (each,) in messages} == {
        ("pump-1", "devices/pump-1/x", "aws:pump-1:id-1")
    }


def test_what_has_no_id_is_known_by_its_content() -> None:
    body = {"t": 1, "topic": "devices/a/t", "clientid": "a"}

    (one,), (same,), (other,) = parse(body), parse(body), parse(body | {"t": 2})

    assert one.event_id == same.event_id != other.event_id


def test_what_makes_no_id_is_known_by_its_content() -> None:
    client, message_id = "\U0001f600" * 512, "x" * 200

    messages = parse([select_bytes("t", b"%d" % n, client, TS, message_id) for n in range(2)])

    assert len({each.event_id for each in messages}) == 2


@pytest.mark.parametrize("wrong", [None, True, 1234, [1], {"a": 1}, "QUI", "QU I=", "é"])
def test_what_is_no_base64_is_kept_with_the_reason(wrong: Any) -> None:
    body = {"payload_base64": wrong, "topic": "devices/a/t", "clientid": "a", "id": "id-1"}

    (message,) = parse(body)

    assert (message.device, message.error) == ("a", "payload_base64 is not base64.")
    assert json.loads(message.raw or "") == body


def test_a_body_that_is_no_json_is_kept_with_the_reason() -> None:
    (message,) = parse(b"\x00\x01 not json")

    assert message.error
    assert base64.b64decode(message.raw or "") == b"\x00\x01 not json"


def test_a_batch_that_aws_would_never_send_is_kept_as_it_came() -> None:
    (message,) = parse([{}] * 1_001)

    assert isinstance(message.payload, list)


def test_what_could_not_be_decoded_is_decoded_by_the_config_of_today() -> None:
    aws = load_aws(
        {"region": "eu-west-1", "webhook_secret": SECRET, "payload_format": "custom", "telemetry_path": "m"}
    )

    ((message,),) = aws.decode([StoredBody(b'{"m": {"t": 1}}', "e", "devices/x/t", "pump-1")])

    assert (message.device, message.payload, message.event_id) == ("pump-1", {"t": 1}, "e")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["topic", "clientid", "ts", "id", "payload_base64", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_nothing_that_comes_in_raises(document: Any) -> None:
    for message in parse(json.dumps(document).encode()):
        assert message.event_id
        assert message.device is None or 0 < len(message.device) <= 512


@given(st.binary(max_size=60))
def test_no_bytes_raise(body: bytes) -> None:
    assert len(parse(body)) <= 1_000
