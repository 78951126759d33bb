"""What a config of the GraphQL provider takes, and in which words it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.provider import Identity, find_provider, load_provider, load_safe_provider, split_config
from shared.runtime.errors import InvalidConfig
from tests.fakes.graphql.driver import LIVE, READ, STREAM, make_graphql

URL = "https://api.example.com/graphql"


def refuse(**config: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as raised:
        load_provider({"endpoint": URL} | config, Identity("", "", "graphql"))
    return {error.field: error.message for error in raised.value.errors}


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({}, "config", "nothing would come or go"),
        ({"query": "mutation { a }"}, "query", "this is a mutation; write a query"),
        ({"query": "{ a "}, "query", "braces don't match"),
        ({"query": "{ a } { b }"}, "query", "one operation"),
        ({"query": "x" * 20_001}, "query", "20,000 characters"),
        ({"query": "{ a }", "query_cursor": "a"}, "query_cursor", "name $cursor"),
        (READ | {"variables": {"cursor": 5}}, "query_cursor", '"{{cursor}}"'),
        (READ | {"variables": {"a": "{{payload}}"}}, "variables", "begins with one of cursor"),
        ({"query_items": "a"} | LIVE, "query_items", "goes with query"),
        ({"subscription_items": "a"} | READ, "subscription_items", "goes with subscription"),
        (STREAM | {"subscription": LIVE["subscription"]}, "config", "name $cursor"),
        (READ | STREAM, "subscription_cursor", "query_cursor says already"),
        (LIVE | {"protocol": "sse", "ws_endpoint": "wss://a.example"}, "ws_endpoint", "has no use for it"),
        (LIVE | {"protocol": "appsync", "init_payload": '{"a": 1}'}, "init_payload", "has no use for it"),
        (LIVE | {"init_payload": "[1]"}, "init_payload", "a JSON object"),
        (LIVE | {"init_payload": "{}"}, "init_payload", "a JSON object"),
        (LIVE | {"init_payload": "canary{"}, "init_payload", "a JSON object"),
        (LIVE | {"ws_endpoint": "mqtt://a.example"}, "ws_endpoint", "expected"),
        (LIVE | {"endpoint": "wss://a.example"}, "endpoint", "expected https://"),
        (READ | {"first_cursor": True}, "first_cursor", "a text or a number"),
        (READ | {"first_cursor": {"a": 1}}, "first_cursor", "a text or a number"),
        (READ | {"first_cursor": "x" * 5_000}, "first_cursor", "4,096"),
        (READ | {"item_key": "a[0]"}, "item_key", "names joined by full stops"),
        (READ | {"mutation_ok": "a"}, "mutation_ok", "goes with mutation"),
        (
            {"mutation": "mutation { a }", "mutation_variables": {"a": "{{cursor}}"}},
            "mutation_variables",
            "device",
        ),
        (
            READ | {"bearer_token": "t", "headers": {"authorization": "Bearer u"}},
            "headers",
            "set by bearer_token already",
        ),
        (READ | {"headers": {"Sec-WebSocket-Protocol": "x"}}, "headers", "written by the client itself"),
        (READ | {"poll_interval_seconds": 1}, "poll_interval_seconds", "5"),
    ],
)
def test_what_can_not_work_is_refused_at_its_field(config: dict[str, Any], field: str, words: str) -> None:
    refused = refuse(**config)

    assert words in refused[field], refused
    assert "canary" not in str(refused)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"query": '{ a(x: "\0") { id } }'}, "query"),
        (READ | {"query_items": "a\0"}, "query_items"),
        (READ | {"variables": {"cursor": "{{cursor}}", "\0": 1}}, "variables"),
        (READ | {"variables": {"cursor": "{{cursor}}", "a": ["\0"]}}, "variables"),
    ],
)
def test_what_the_database_can_not_keep_is_refused_at_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        load_safe_provider({"endpoint": URL} | config, Identity("", "", "graphql"))

    assert [(error.field, "NUL" in error.message) for error in raised.value.errors] == [(field, True)]


def test_secrets_go_to_the_hosts_of_both_addresses() -> None:
    graphql = find_provider("graphql")

    one = graphql.locate({"endpoint": URL})
    both = graphql.locate({"endpoint": URL, "ws_endpoint": "wss://live.example.com:8443/x"})

    assert one != both
    assert both == graphql.locate(
        {"endpoint": f"{URL}?a=b", "ws_endpoint": "https://LIVE.example.com:8443/y"}
    )


def test_secrets_are_sealed_and_those_within_the_payload_masked() -> None:
    payload = '{"headers": {"x-hasura-admin-secret": "canary-admin", "role": "a"}}'
    graphql = make_graphql(URL, **LIVE, bearer_token="canary-token", init_payload=payload)

    settings, secrets = split_config(graphql)

    assert set(secrets) == {"bearer_token", "init_payload"}
    assert "canary" not in str(settings)
    assert (
        graphql.mask_words("it was canary-admin, \x00 a and canary-token") == "it was ***, \ufffd a and ***"
    )


def test_of_the_payload_only_what_looks_secret_is_hidden_in_data() -> None:
    headers = {"x-hasura-role": "device", "x-hasura-admin-secret": "canary-admin"}
    payload = json.dumps({"headers": headers, "a": ["Bearer canary"]})
    graphql = make_graphql(URL, **LIVE, bearer_token="canary-token", init_payload=payload)

    assert set(graphql.hidden_values) == {payload, "canary-token", "canary-admin", "Bearer canary"}
    assert graphql.mask_words("no role device") == "no role ***"


def test_a_websocket_begins_with_the_token_unless_told_otherwise() -> None:
    with_token = make_graphql(URL, **LIVE, bearer_token="t")
    with_payload = make_graphql(URL, **LIVE, bearer_token="t", init_payload='{"a": 1}')

    assert with_token.opening == {"Authorization": "Bearer t"}
    assert with_payload.opening == {"a": 1}
    assert make_graphql(URL, **LIVE).opening is None


def test_appsync_is_asked_at_its_own_address_with_who_asks_in_it() -> None:
    endpoint = "https://abc.appsync-api.eu-central-1.amazonaws.com/graphql"
    graphql = make_graphql(endpoint, **LIVE, protocol="appsync", headers={"x-api-key": "da2-canary"})

    assert graphql.socket_url.startswith(
        "https://abc.appsync-realtime-api.eu-central-1.amazonaws.com/graphql?header="
    )
    assert graphql.socket_url.endswith("&payload=e30=")
    wrapped = graphql.wrap_operation({"query": "subscription { a }", "variables": {}})
    assert wrapped["data"] == '{"query":"subscription { a }","variables":{}}'
    assert wrapped["extensions"]["authorization"] == {
        "host": "abc.appsync-api.eu-central-1.amazonaws.com",
        "x-api-key": "da2-canary",
    }
    assert graphql.stream_headers == {}


def test_variables_go_to_the_operations_that_name_them() -> None:
    variables = {"cursor": "{{cursor}}", "site": "a", "text": "since {{cursor}}", "only": "{{ cursor }}"}
    query = "query ($cursor: Int, $text: String, $only: Int) { r(a: $cursor, b: $text, c: $only) { id } }"
    graphql = make_graphql(URL, query=query, variables=variables, **LIVE)

    assert graphql.fill_query(7) == {"cursor": 7, "text": "since 7", "only": 7}
    assert graphql.fill_query(None) == {"text": "since "}
    assert graphql.fill_query('a"b') == {"cursor": 'a"b', "text": 'since a"b', "only": 'a"b'}
    assert graphql.fill_subscription(7) == {}
