"""The config of custom webhooks: what is refused and by which field, which parts are secrets, what is sent."""

from __future__ import annotations

import base64
import json
import time
import tomllib
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shared import __version__
from shared.provider import (
    EVENT_NAMES,
    Event,
    EventDevice,
    Identity,
    load_provider,
    make_secret,
    merge_config,
    name_secrets,
    split_config,
    verify_webhook,
)
from shared.providers.webhook import Webhook
from shared.runtime.errors import InvalidConfig, TooLarge
from shared.runtime.outbound import OutboundRequest

URL = "https://hooks.example.com/in"
IDENTITY = Identity("o1", "i1", "webhook", "Plant")
CANARY = "c4nary-S3cret-value"
SIGNING, PREVIOUS = make_secret(), make_secret()
EVENT = Event(
    id="7d1e",
    type="device.telemetry",
    kind="telemetry",
    at="2026-01-01T00:00:00+00:00",
    organization_id="o1",
    integration=Identity("o1", "i0", "mqtt", "Broker"),
    device=EventDevice("d1", "ext-1", "Pump"),
    topic="plant/1",
    payload={"temp": 21.5},
)
SECRET_CONFIGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"bearer_token": CANARY}, ["bearer_token"]),
    ({"api_key": CANARY, "api_key_header": "X-Plant-Key"}, ["api_key"]),
    ({"basic_username": "plant", "basic_password": CANARY}, ["basic_password"]),
    ({"signing_secret": SIGNING}, ["signing_secret"]),
    (
        {"signing_secret": SIGNING, "previous_signing_secret": PREVIOUS},
        ["previous_signing_secret", "signing_secret"],
    ),
    (
        {
            "headers": {
                "X-Site": "north",
                "Authorization": CANARY,
                "X-Api-Key": CANARY,
                "X-Plain": f"Bearer {CANARY}",
            }
        },
        ["headers.Authorization", "headers.X-Api-Key", "headers.X-Plain"],
    ),
]


def load(**config: Any) -> Webhook:
    provider = load_provider({"url": URL, **config}, IDENTITY)
    assert isinstance(provider, Webhook)
    return provider


def headers_of(request: OutboundRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def body_of(request: OutboundRequest) -> Any:
    assert request.body is not None
    return json.loads(request.body)


def refused(**config: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as caught:
        load(**config)
    return {error.field: error.message for error in caught.value.errors}


def test_a_url_is_enough() -> None:
    webhook = load()

    assert (webhook.method, webhook.events, webhook.retry_schedule) == ("POST", ("*",), (5, 30, 180))
    assert (webhook.timeout_seconds, webhook.max_concurrent, webhook.api_key_header) == (30, 10, "X-API-Key")
    assert split_config(webhook) == ({"url": URL, "events": ["*"]}, {})
    assert webhook.capabilities() == ["check", "deliver"]


BAD_URLS = {
    "https://": [
        "",
        "hooks.example.com/in",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://[::1",
        "file:///etc",
    ],
    "port": ["https://example.com:0/", "https://example.com:65536/", "https://example.com:x/"],
    "basic_username": [
        f"https://plant:{CANARY}@example.com/",
        f"https://{CANARY}@example.com/",
        "https://@example.com/",
    ],
    "fragment": ["https://example.com/#part", "https://example.com/#"],
    "2048": ["https://example.com/" + "x" * 2048],
    "spaces": [
        "https://exa mple.com/",
        "https://example.com/a\r\nHost: b",
        "https://example.com\\@b/",
        "https://a.com/\x00",
    ],
    "host name": [
        "https://-a.example/",
        "https://a..b/",
        "https://" + "a" * 64 + ".example/",
        "https://exa%6dple.com/",
    ],
    "host name is": [
        "https://a\u2024\u2024b/",
        "https://xn\u3002\u3002/",
        "https://" + "ü" * 64 + ".example/",
    ],
}


@pytest.mark.parametrize(
    ("url", "remedy"), [(url, remedy) for remedy, urls in BAD_URLS.items() for url in urls]
)
def test_a_bad_url_is_refused_with_its_remedy(url: str, remedy: str) -> None:
    assert remedy in refused(url=url)["url"]


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8080/hook", "https://[2606:4700::1111]:8443/a", "https://bücher.example/ü?q=1", "HTTPS://Example.com"),
        *("https://a_b.example.com./", "https://xn--bcher-kva.example/", "https://example.com/?a=b&c=d"),
    ],
)  # fmt: skip
def test_an_unusual_but_good_url_is_kept_as_it_is(url: str) -> None:
    assert load(url=url).url == url


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("method", "GET", "one of: POST, PUT, PATCH"),
        ("method", "post", "one of: POST, PUT, PATCH"),
        *(("bearer_token", value, "printable ASCII") for value in ("", " x", "x\n", "ü", "x" * 4097)),
        ("bearer_token", 5, "Write a text."),
        ("bearer_token", "Bearer abc", "leave out the word"),
        ("api_key", "a\x00b", "printable ASCII"),
        ("api_key_header", "X Key", "letters"),
        ("api_key_header", "Host", "reserved"),
        ("api_key_header", "webhook-signature", "reserved"),
        *(("basic_username", value, "colon") for value in ("", "a:b", "a\nb")),
        ("basic_password", "alone", "basic_username"),
        ("headers", "X-A: b", "an object of names and values"),
        ("headers", {"X-A": 1}, "X-A must be a string"),
        ("headers", {"X-A": None}, "X-A must be a string"),
        ("headers", {"X-A": "b\r\nX-B: c"}, "'X-A' has a line break"),
        ("headers", {"X-A": "x" * 4097}, "4096"),
        ("headers", {"X A": "b"}, "letters"),
        ("headers", {"": "b"}, "letters"),
        ("headers", {"x" * 129: "b"}, "128"),
        ("headers", {"X-A": "b", "x-a": "c"}, "more than once"),
        ("headers", {f"X-{n}": "b" for n in range(51)}, "50"),
        *(
            ("headers", {name: "b"}, f"'{name}' is set by the sender")
            for name in (
                "Host",
                "content-type",
                "Content-Length",
                "Cookie",
                "Webhook-Id",
                "X-Amz-Date",
                "Proxy-Auth",
            )
        ),
        ("retry_schedule", [1] * 21, "at most 20"),
        ("retry_schedule", 5, "Give a list."),
        ("retry_schedule.1", [0, 172_801], "172800"),
        ("retry_schedule.0", [-1], "0"),
        ("retry_schedule.0", [float("nan")], "number"),
        ("timeout_seconds", 0, "more than 0"),
        ("timeout_seconds", 30.5, "30"),
        ("timeout_seconds", float("inf"), "finite"),
        ("max_concurrent", 0, "1"),
        ("max_concurrent", 101, "100"),
        ("max_concurrent", 1.5, "whole number"),
        ("signing_secret", "my own passphrase", "base64"),
        ("signing_secret", "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "whsk_"),
        ("previous_signing_secret", PREVIOUS, "signing_secret"),
        ("payload_template", {"a": ["{{ nope }}"]}, "at /a/0"),
        ("payload_template", ' {"a": 1}', "without the quotes"),
        ("events", [], "list 1 to"),
        ("events", ["telemetri"], "number 1 is nothing that is ever sent; there are telemetry, state"),
        ("events", ["telemetry", "device.telemetri"], "number 2"),
        ("events", ["Telemetry"], "number 1"),
        ("events", ["telemetry.*"], "number 1"),
        ("events", ["integration.test"], "number 1"),
        ("events", [" "], "number 1"),
        ("signature_headers", "Svix", "webhook, svix, both"),
        ("rate_limit_per_minute", 0, "1"),
        ("ordered", "sometimes", "off, device, integration"),
        ("device_filter", {}, "leave device_filter out"),
        ("device_filter", "pump-*", "an object of names and values"),
        ("device_filter", {"names": ["pump"]}, "not known"),
        (
            "device_filter",
            {"ids": ["00000000-0000-0000-0000-000000000001"], "external_ids": []},
            "at least one",
        ),
        ("device_filter.external_ids", {"external_ids": ["a"] * 201}, "at most 200"),
        ("device_filter.external_ids.0", {"external_ids": ["*" * 5]}, "at most 4"),
        ("device_filter.device_types.0", {"device_types": ["\x00"]}, "visible characters"),
        ("device_filter.ids.0", {"ids": ["pump-1"]}, "UUID"),
        *((name, True, "Unknown field") for name in ("Url", "retries")),
    ],
    ids=map(str, count()),
)
def test_each_bad_field_is_refused_by_its_name_with_what_was_expected(
    field: str, value: Any, expected: str
) -> None:
    errors = refused(**{field.partition(".")[0]: value})

    assert list(errors) == [field]
    assert expected in errors[field]


@pytest.mark.parametrize(
    ("config", "field", "named"),
    [
        ({"bearer_token": "a", "api_key": "b"}, "api_key", "bearer_token"),
        ({"bearer_token": "a", "basic_username": "b"}, "basic_username", "bearer_token"),
        ({"api_key": "a", "basic_username": "b"}, "basic_username", "api_key"),
        ({"bearer_token": "a", "headers": {"authorization": "b"}}, "headers", "bearer_token"),
        ({"basic_username": "a", "headers": {"AUTHORIZATION": "b"}}, "headers", "basic_username"),
        ({"api_key": "a", "headers": {"x-api-key": "b"}}, "headers", "api_key"),
        ({"api_key": "a", "api_key_header": "X-K", "headers": {"x-k": "b"}}, "headers", "api_key"),
    ],
)
def test_contradicting_authentication_is_refused_at_one_field_naming_the_other(
    config: dict[str, Any], field: str, named: str
) -> None:
    errors = refused(**config)

    assert list(errors) == [field]
    assert named in errors[field]


def test_several_bad_fields_are_all_named_at_once() -> None:
    errors = refused(url="x", method="GET", headers={"Host": "b"}, max_concurrent=0, signing_secret="x")

    assert sorted(errors) == ["headers", "max_concurrent", "method", "signing_secret", "url"]


@pytest.mark.parametrize(
    "config",
    [
        {"url": f"https://u:{CANARY}@example.com"},
        {"bearer_token": f"{CANARY}\n"},
        {"api_key": [CANARY]},
        {"api_key": CANARY, "bearer_token": CANARY},
        {"basic_password": CANARY},
        {"headers": {"Authorization": f"{CANARY}\r\n"}},
        {"headers": {f"Authorization: Bearer {CANARY}": ""}},
        {"headers": {"Authorization": {"Bearer": CANARY}}},
        {"headers": f"Authorization: {CANARY}"},
        {"api_key_header": f"X-Key: {CANARY}"},
        {"signing_secret": CANARY},
        {"payload_template": {"key": f"{{{{ {CANARY} }}}}"}},
        {"method": CANARY},
    ],
)
def test_no_error_repeats_a_value_that_may_be_secret(config: dict[str, Any]) -> None:
    assert CANARY not in json.dumps(refused(**config))


@pytest.mark.parametrize(("config", "names"), SECRET_CONFIGS)
def test_secrets_are_split_off_named_and_merged_back(config: dict[str, Any], names: list[str]) -> None:
    webhook = load(**config, payload_template={"a": None, "b": [None, {"c": None}], "d": {}})

    settings, secrets = split_config(webhook)

    assert name_secrets(secrets) == names
    stored = json.loads(json.dumps(settings))
    for secret in (CANARY, SIGNING, PREVIOUS):
        assert secret not in json.dumps(stored)
    assert stored["payload_template"] == {"a": None, "b": [None, {"c": None}], "d": {}}
    assert load_provider(merge_config(stored, secrets), IDENTITY) == webhook


@pytest.mark.parametrize(("config", "_names"), SECRET_CONFIGS)
def test_a_webhook_that_was_used_still_shows_no_secret(config: dict[str, Any], _names: list[str]) -> None:
    webhook = load(**config)
    webhook.deliver(EVENT)

    shown = f"{webhook!r} {webhook} {webhook.model_dump()} {webhook.model_dump_json()}"

    for secret in (CANARY, SIGNING, PREVIOUS):
        assert secret not in shown


def test_numbers_are_stored_as_they_were_given() -> None:
    settings, _ = split_config(load(retry_schedule=[0, 0.5, 172800], timeout_seconds=12))

    assert json.dumps([settings["retry_schedule"], settings["timeout_seconds"]]) == "[[0, 0.5, 172800], 12]"


def test_without_a_template_the_body_is_type_timestamp_and_data() -> None:
    request = load(method="PUT", timeout_seconds=7).deliver(EVENT)

    assert (request.method, request.url, request.timeout_seconds) == ("PUT", URL, 7)
    assert body_of(request) == {
        "type": "device.telemetry",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "data": {
            "kind": "telemetry",
            "topic": "plant/1",
            "device": {"id": "d1", "external_id": "ext-1", "name": "Pump"},
            "payload": {"temp": 21.5},
            "integration": {"id": "i0", "name": "Broker", "type": "mqtt"},
            "organization_id": "o1",
        },
    }


def test_an_event_without_a_device_is_sent_with_null() -> None:
    event = Event("7d1e", "device.log", "log", "2026-01-01T00:00:00+00:00", "o1", IDENTITY)

    assert body_of(load().deliver(event))["data"]["device"] is None


def test_with_a_template_the_body_is_what_it_renders() -> None:
    template = {
        "text": "{{ device.name }} has {{ payload.temp }} °C",
        "temp": "{{ payload.temp }}",
        "none": None,
    }

    request = load(payload_template=template).deliver(EVENT)

    assert body_of(request) == {"text": "Pump has 21.5 °C", "temp": 21.5, "none": None}


def test_a_template_may_be_falsy() -> None:
    assert body_of(load(payload_template={}).deliver(EVENT)) == {}
    assert body_of(load(payload_template=0).deliver(EVENT)) == 0


def test_a_template_that_overflows_says_so() -> None:
    event = Event("7d1e", "device.log", "log", EVENT.at, "o1", IDENTITY, payload="x" * 200_000)

    with pytest.raises(TooLarge, match="renders to more than"):
        load(payload_template=["{{ payload }}", "{{ payload }}"]).deliver(event)


@pytest.mark.parametrize(
    ("config", "header", "value"),
    [
        ({"bearer_token": CANARY}, "authorization", f"Bearer {CANARY}"),
        ({"api_key": CANARY}, "x-api-key", CANARY),
        ({"api_key": CANARY, "api_key_header": "Authorization"}, "authorization", CANARY),
        ({"headers": {"X-Token": CANARY}}, "x-token", CANARY),
        (
            {"basic_username": "plänt", "basic_password": "pä:ss"},
            "authorization",
            "Basic " + base64.b64encode("plänt:pä:ss".encode()).decode(),
        ),
        ({"basic_username": "key"}, "authorization", "Basic " + base64.b64encode(b"key:").decode()),
        ({}, "content-type", "application/json"),
        ({}, "user-agent", f"device-integrations/{__version__}"),
        ({}, "webhook-id", "7d1e"),
    ],
)
def test_the_request_carries_its_headers(config: dict[str, Any], header: str, value: str) -> None:
    assert headers_of(load(**config).deliver(EVENT))[header] == value


def test_header_names_keep_their_letter_case() -> None:
    assert "X-CaMeL" in load(headers={"X-CaMeL": "b"}).deliver(EVENT).headers


def test_requests_are_signed_with_both_secrets_at_the_time_of_the_attempt() -> None:
    request = load(signing_secret=SIGNING, previous_signing_secret=PREVIOUS).deliver(EVENT)

    headers = headers_of(request)
    for secret in (SIGNING, PREVIOUS):
        verify_webhook([secret], headers, request.body or b"", time.time(), tolerance=5)
    assert len(headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("names", ["svix", "both"])
def test_requests_are_signed_under_the_names_of_svix_where_that_is_asked_for(names: str) -> None:
    request = load(signing_secret=SIGNING, signature_headers=names).deliver(EVENT)

    headers = headers_of(request)
    svix = {name: value for name, value in headers.items() if name.startswith("svix-")}
    webhook = {name: value for name, value in headers.items() if name.startswith("webhook-")}
    assert [*svix] == ["svix-id", "svix-timestamp", "svix-signature"]
    assert [*webhook.values()] == ([*svix.values()] if names == "both" else [])
    verify_webhook([SIGNING], svix, request.body or b"", time.time(), tolerance=5)


@pytest.mark.parametrize(
    "own", [{"headers": {"Svix-Id": "1"}}, {"api_key": "k", "api_key_header": "svix-signature"}]
)
def test_a_header_of_ones_own_does_not_stand_beside_the_one_that_signs(own: dict[str, Any]) -> None:
    assert load(**own)
    assert [*refused(signature_headers="svix", **own)] == ["signature_headers"]


def test_what_is_wanted_is_stored_once_and_without_spaces() -> None:
    webhook = load(
        events=[" telemetry", "device.state ", "telemetry"],
        device_filter={"external_ids": [" pump-* "], "device_types": ["pump\n"]},
    )

    assert webhook.events == ("telemetry", "device.state")
    assert webhook.device_filter is not None
    assert (webhook.device_filter.external_ids, webhook.device_filter.device_types) == (
        ("pump-*",),
        ("pump",),
    )


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_every_name_of_an_event_may_be_asked_for(event: str) -> None:
    assert load(events=[event]).events == (event,)


def test_without_a_signing_secret_there_is_an_id_and_a_time_but_no_signature() -> None:
    headers = headers_of(load().deliver(EVENT))

    assert headers["webhook-timestamp"].isdigit()
    assert "webhook-signature" not in headers


@pytest.mark.parametrize(
    "echo",
    [
        f"token {CANARY}!",
        json.dumps({"authorization": f"Bearer {CANARY}"}),
        base64.b64encode(f"plant:{CANARY}".encode()).decode(),
        f"?key={CANARY}%21",
    ],
)
def test_texts_are_masked_of_every_secret_in_every_form(echo: str) -> None:
    webhook = load(basic_username="plant", basic_password=CANARY)

    masked = webhook.mask_text(echo)

    assert "***" in masked
    assert CANARY not in masked
    assert base64.b64encode(CANARY.encode()).decode()[4:-4] not in masked


def test_a_secret_cut_off_at_the_end_of_a_text_is_masked_too() -> None:
    webhook = load(headers={"X-Token": f"Bearer {CANARY}"})

    assert webhook.mask_text(f"you sent {CANARY[:9]}", cut=True) == "you sent ***"
    assert webhook.mask_text(f"you sent {CANARY[:9]}") == f"you sent {CANARY[:9]}"


def test_a_webhook_without_secrets_masks_nothing() -> None:
    assert load().mask_text("all of it", cut=True) == "all of it"


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == __version__
