"""A secret goes where it was entered for, and nowhere else: no way of changing a row lets it travel or return."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx
import pytest

from shared.provider import find_provider, list_types
from tests.contract.configs import read_config
from tests.end_to_end.integrations.test_audit import rest
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, enqueue, run_tick

SENDING = [
    name
    for name in list_types()
    if [key for key in read_config(name) if re.search("://", str(read_config(name)[key]))]
]
WORDS = "was entered for another address; enter it again"
SECRET = "canary-bound-token-5531"


def move(config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config that name a place, naming another."""
    named = {key: value for key, value in config.items() if isinstance(value, str) and "://" in value}
    return {key: re.sub("://[^/:]+", choose_place, value) for key, value in named.items()}


def choose_place(found: re.Match[str]) -> str:
    """Another host, on this machine where only that is taken."""
    return "://localhost" if found[0] == "://127.0.0.1" else "://elsewhere.example.net"


def list_sent(integration: dict[str, Any]) -> list[str]:
    provider = find_provider(integration["integration_type"])
    return [name for name in integration["secrets"] if not provider.is_kept(name.split(".")[0])]


def patch_settings(admin: Platform, integration: dict[str, Any], **settings: Any) -> None:
    """Past the API, as an admin may."""
    place = f"device_integrations?id=eq.{integration['id']}"
    reply = rest(admin, "PATCH", place, json={"settings": integration["config"] | settings})
    assert reply.status_code in {200, 204}, reply.text


def try_out(admin: Platform, integration: dict[str, Any], **request: Any) -> httpx.Response:
    return admin.call("POST", f"/integrations/{integration['id']}/test", **request)


def write(admin: Platform, integration: dict[str, Any], **fields: Any) -> None:
    """`rpc/write_integration` by hand, as an admin may."""
    body = {"p_action": "update", "p_write": {"id": integration["id"], "values": {}} | fields}
    reply = rest(admin, "POST", "rpc/write_integration", json=body)
    assert reply.status_code == 200, reply.text
    assert "problem" not in reply.json(), reply.text


def read_sealed(admin: Platform, integration: dict[str, Any]) -> dict[str, Any]:
    reply = rest(admin, "POST", "rpc/sealed_config", json={"p_integration_id": integration["id"]})
    return dict(reply.json()[0])


@pytest.mark.parametrize("name", SENDING)
def test_moved_past_the_api_its_secrets_stay_sealed_and_moved_back_they_open(
    admin: Platform, name: str
) -> None:
    created = admin.create(name, read_config(name), status="inactive")

    patch_settings(admin, created, **move(created["config"]))
    moved = try_out(admin, created)
    write(admin, created, values={"settings": created["config"] | move(created["config"])})
    written = try_out(admin, created)
    patch_settings(admin, created)
    back = try_out(admin, created)

    for reply in (moved, written):
        assert (reply.status_code, reply.json()["code"]) == (500, "vault_error")
        assert WORDS in reply.json()["detail"]
    assert (back.status_code, back.json().get("code")) == (200, None)


@pytest.mark.parametrize("name", SENDING)
def test_a_patch_or_test_that_moves_it_has_to_bring_what_is_sent(admin: Platform, name: str) -> None:
    created = admin.create(name, read_config(name), status="inactive")
    place, patch = f"/integrations/{created['id']}", {"config": move(created["config"])}

    replies = [admin.call("PATCH", place, json=patch), try_out(admin, created, json=patch)]

    for reply in replies:
        assert reply.status_code == 422, reply.text
        assert [error["field"] for error in reply.json()["errors"]] == list_sent(created)
        assert all(WORDS in error["message"] for error in reply.json()["errors"])
    assert admin.call("GET", place).json()["integration"]["config"] == created["config"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Token": "mine"},
        {"X-Token": None},
        {"X-Token.Key.Of": "mine"},
        {"x-token.key": "mine"},
        {"X-Token": {"Key": "mine"}},
    ],
)
def test_a_header_that_is_named_like_the_beginning_of_another_does_not_take_it_along(
    admin: Platform, headers: dict[str, Any]
) -> None:
    with HttpReceiver() as owner, HttpReceiver() as thief:
        created = admin.create("webhook", {"url": owner.url, "headers": {"X-Token.Key": SECRET}})
        patch = {"config": {"url": thief.url, "headers": headers}}

        place = f"/integrations/{created['id']}"
        replies = [admin.call("PATCH", place, json=patch), try_out(admin, created, json=patch)]

    assert [reply.status_code for reply in replies] == [422, 422]
    assert thief.requests == []


@pytest.mark.parametrize("name", SENDING)
def test_a_patch_that_brings_what_is_sent_moves_it_and_keeps_the_rest(admin: Platform, name: str) -> None:
    config = read_config(name)
    created = admin.create(name, config, status="inactive")
    brought = {key: config[key] for key in {name.split(".")[0] for name in list_sent(created)}}

    changed = admin.call(
        "PATCH", f"/integrations/{created['id']}", json={"config": move(created["config"]) | brought}
    )

    assert changed.status_code == 200, changed.text
    assert changed.json()["integration"]["secrets"] == created["secrets"]
    assert try_out(admin, created).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"broker_url": "mqtt://broker.example.com", "ca_certificate": None, "client_certificate": None},
        {"use_tls": "false"},
        {"server_name": "elsewhere.example.net"},
        {"ca_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"port": 1883},
    ],
)
def test_a_password_goes_to_one_broker_only_whoever_else_has_a_certificate_for_its_name(
    admin: Platform, settings: dict[str, Any]
) -> None:
    config = read_config("mqtt") | {"broker_url": "mqtt://broker.example.com", "use_tls": True}
    created = admin.create("mqtt", config, status="inactive")

    patch_settings(admin, created, **settings)
    reply = try_out(admin, created)

    assert (reply.status_code, reply.json()["code"]) in {(500, "vault_error"), (422, "invalid_config")}


def test_what_is_moved_sends_nothing_says_why_and_holds_up_nobody(admin: Platform) -> None:
    with HttpReceiver() as owner, HttpReceiver() as thief, HttpReceiver() as other:
        created = admin.create("webhook", {"url": owner.url, "bearer_token": SECRET})
        admin.create("webhook", {"url": other.url, "bearer_token": "another-token"})
        patch_settings(admin, created, url=thief.url)
        enqueue(admin, 3)
        run_tick(admin.stack, 30, 1)

    shown = admin.call("GET", f"/integrations/{created['id']}").json()["integration"]
    assert (owner.requests, thief.requests, len(other.requests)) == ([], [], 3)
    assert shown["status"] == "error"
    assert WORDS in shown["error_message"]


def test_entered_again_it_is_sent_to_the_new_address(admin: Platform) -> None:
    with HttpReceiver() as old, HttpReceiver() as new:
        created = admin.create("webhook", {"url": old.url, "bearer_token": SECRET})
        patch_settings(admin, created, url=new.url)
        place = f"/integrations/{created['id']}"
        refused = admin.call("PATCH", place, json={"config": {"timeout_seconds": 5}})
        mended = admin.call("PATCH", place, json={"config": {"bearer_token": "entered-again"}})
        enqueue(admin, 1)
        run_tick(admin.stack, 30, 1)

    assert (refused.status_code, mended.status_code) == (422, 200)
    assert [error["field"] for error in refused.json()["errors"]] == ["bearer_token"]
    assert [request.headers["authorization"] for request in new.requests] == ["Bearer entered-again"]
    assert old.requests == []


def test_an_old_seal_that_an_admin_kept_does_not_open_again(admin: Platform) -> None:
    with HttpReceiver() as receiver:
        created = admin.create("webhook", {"url": receiver.url, "bearer_token": SECRET})
        kept = read_sealed(admin, created)
        place = f"/integrations/{created['id']}"
        assert admin.call("PATCH", place, json={"config": {"bearer_token": "rotated"}}).status_code == 200

        texts = {"sent": kept["sealed_sent"], "kept": kept["sealed_kept"]}
        write(admin, created, sealed={**texts, "count": kept["seal_count"] + 2})
        reply = try_out(admin, created)

    assert (reply.status_code, reply.json()["code"]) == (500, "vault_error")
    assert receiver.requests == []


def test_seals_of_one_integration_do_not_open_in_another_nor_one_use_for_the_other(admin: Platform) -> None:
    config = {"url": "https://hooks.example.com/in", "bearer_token": SECRET}
    one, two = (admin.create("webhook", config, status="inactive") for _ in range(2))
    sealed = read_sealed(admin, one)

    write(admin, two, sealed={"sent": sealed["sealed_sent"], "kept": sealed["sealed_kept"], "count": 2})
    write(admin, one, sealed={"sent": sealed["sealed_kept"], "kept": sealed["sealed_sent"], "count": 2})

    assert [try_out(admin, each).json()["code"] for each in (one, two)] == ["vault_error"] * 2


def test_of_two_changes_at_once_each_is_sealed_for_the_counter_it_meets(admin: Platform) -> None:
    created = admin.create(
        "webhook", {"url": "https://hooks.example.com/in", "bearer_token": SECRET}, status="inactive"
    )
    place = f"/integrations/{created['id']}"
    before = read_sealed(admin, created)

    replies = [
        admin.call("PATCH", place, json={"config": {"bearer_token": f"token-{number}-{uuid.uuid4()}"}})
        for number in range(3)
    ]

    assert [reply.status_code for reply in replies] == [200] * 3
    assert read_sealed(admin, created)["seal_count"] == before["seal_count"] + 3
    assert try_out(admin, created).status_code == 200


def test_a_password_is_not_sent_in_clear_to_a_public_host_unless_that_is_said(admin: Platform) -> None:
    config = {"broker_url": "mqtt://broker.example.com", "topics": "#", "username": "u", "password": SECRET}
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": "Plain",
        "config": config,
    }

    refused = [
        admin.call("POST", "/integrations", json=body),
        admin.call("POST", "/integrations/test", json={key: body[key] for key in body if key != "name"}),
    ]
    allowed = admin.create("mqtt", config | {"allow_plain_password": True}, status="inactive")
    secured = admin.create("mqtt", config | {"use_tls": True}, status="inactive")
    opened = admin.call(
        "PATCH", f"/integrations/{secured['id']}", json={"config": {"use_tls": False, "password": "p"}}
    )

    for reply in (*refused, opened):
        assert reply.status_code == 422, reply.text
        assert [error["field"] for error in reply.json()["errors"]] == ["password"]
    assert allowed["config"]["allow_plain_password"] is True


def test_an_address_may_be_a_secret_of_which_only_the_host_is_shown(admin: Platform) -> None:
    with HttpReceiver() as receiver, HttpReceiver() as thief:
        address = f"{receiver.url}/T0CANARY/B0CANARY?key=canary-in-query"
        created = admin.create("webhook", {"secret_url": address})
        tried = try_out(admin, created)
        enqueue(admin, 1)
        run_tick(admin.stack, 30, 1)
        patch_settings(admin, created, url_origin=thief.url.removesuffix("/hook"))
        enqueue(admin, 1)
        run_tick(admin.stack, 30, 1)

    shown = admin.call("GET", f"/integrations/{created['id']}").json()["integration"]
    assert "secret_url" in created["secrets"]
    assert created["config"]["url_origin"] == receiver.url.removesuffix("/hook")
    assert [request.path for request in receiver.requests] == [
        address.removeprefix(created["config"]["url_origin"])
    ] * 2
    assert thief.requests == []
    assert tried.json()["ok"] is True
    made = admin.rows("webhook_deliveries", integration_id=f"eq.{created['id']}", select="id")
    attempts = admin.rows("webhook_attempts", delivery_id=f"in.({','.join(row['id'] for row in made)})")
    assert attempts
    assert not [
        text for text in (tried.text, str(shown), str(attempts)) if "CANARY" in text or "canary" in text
    ]
