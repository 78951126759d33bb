"""Certificates and keys at the door: stored as they are needed, or refused by field, and never a 500."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.fakes.certificates import PemAuthority, lock_key
from tests.platform import Platform
from tests.stack import Stack

AUTHORITY = PemAuthority()
PAIR = AUTHORITY.issue("integration")
OTHER = AUTHORITY.issue("another")
PASSPHRASE = "canary-passphrase-5512"
LOCKED = lock_key(PAIR.key, PASSPHRASE)
OWN = {"client_certificate": PAIR.certificate, "client_key": PAIR.key}

PASTED: dict[str, Callable[[str], str]] = {
    "a comment beyond ASCII": lambda pem: f"# Gerät №1 — gültig\n{pem}",
    "a BOM": lambda pem: "\ufeff" + pem,
    "a written out line end": lambda pem: pem.replace("\n", "\\n"),
    "indentation": lambda pem: pem.replace("\n", "\n    "),
    "one line": lambda pem: pem.replace("\n", " "),
}


def create(admin: Platform, **fields: str) -> httpx.Response:
    config = {"broker_url": "mqtts://broker.example.com", "topics": "a/+"} | fields
    organization = admin.user.organization_id
    body = {"organization_id": organization, "integration_type": "mqtt", "name": "Broker", "config": config}
    return admin.call("POST", "/integrations", json=body)


def find_wrong(reply: httpx.Response) -> tuple[int, list[str]]:
    return reply.status_code, [error["field"] for error in reply.json().get("errors", [])]


@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
def test_pem_is_shown_as_it_is_used_however_it_was_pasted(
    admin: Platform, paste: Callable[[str], str]
) -> None:
    pasted = {name: paste(pem) for name, pem in (OWN | {"ca_certificate": AUTHORITY.pem}).items()}

    reply = create(admin, **pasted)

    assert reply.status_code == 201, reply.text
    shown = reply.json()["integration"]
    assert shown["config"]["client_certificate"] == PAIR.certificate
    assert shown["config"]["ca_certificate"] == AUTHORITY.pem
    assert shown["secrets"] == ["client_key"]


def test_a_key_with_a_passphrase_is_stored_and_neither_is_shown(admin: Platform, stack: Stack) -> None:
    own = OWN | {"client_key": LOCKED, "client_key_passphrase": PASSPHRASE}

    reply = create(admin, **own)

    assert reply.status_code == 201, reply.text
    created = reply.json()["integration"]
    assert set(created["secrets"]) == {"client_key", "client_key_passphrase"}
    with stack.connect() as connection:
        row = connection.execute(
            "select device_integrations::text from device_integrations where id = %s", (created["id"],)
        ).fetchone()
    assert row is not None
    assert PASSPHRASE not in reply.text + row[0]
    assert "ENCRYPTED PRIVATE KEY" not in reply.text + row[0]


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "a key without its passphrase": (OWN | {"client_key": LOCKED}, "client_key"),
    "a wrong passphrase": (
        OWN | {"client_key": LOCKED, "client_key_passphrase": PASSPHRASE + "?"},
        "client_key",
    ),
    "the key of another certificate": (OWN | {"client_key": OTHER.key}, "client_key"),
    "a key that is cut off": (OWN | {"client_key": PAIR.key[:90]}, "client_key"),
    "half a key": (OWN | {"client_key": PAIR.key[:60] + PAIR.key[90:]}, "client_key"),
    "a certificate where a key belongs": (OWN | {"client_key": PAIR.certificate}, "client_key"),
    "a key where a certificate belongs": (OWN | {"client_certificate": PAIR.key}, "client_certificate"),
    "a certificate of letters": (
        {"ca_certificate": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----"},
        "ca_certificate",
    ),
    "what is no PEM": ({"ca_certificate": base64.b64encode(b"no certificate").decode()}, "ca_certificate"),
    "a passphrase without a key": ({"client_key_passphrase": PASSPHRASE}, "client_key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_used_is_refused_by_field_and_not_repeated(admin: Platform, name: str) -> None:
    fields, wrong = REFUSED[name]

    reply = create(admin, **fields)

    assert reply.status_code == 422, reply.text
    assert wrong in find_wrong(reply)[1]
    assert PASSPHRASE not in reply.text
    assert PAIR.key.splitlines()[1] not in reply.text


def test_a_pair_is_replaced_together_and_half_of_it_is_refused(admin: Platform) -> None:
    place = f"/integrations/{create(admin, **OWN).json()['integration']['id']}"
    new: dict[str, Any] = {"client_certificate": OTHER.certificate, "client_key": OTHER.key}

    half = admin.call("PATCH", place, json={"config": {"client_certificate": OTHER.certificate}})
    both = admin.call("PATCH", place, json={"config": new})

    assert find_wrong(half) == (422, ["client_key"])
    assert both.status_code == 200, both.text
    assert both.json()["integration"]["config"]["client_certificate"] == OTHER.certificate
