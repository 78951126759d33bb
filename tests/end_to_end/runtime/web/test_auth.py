"""v1a: webhooks signed with ed25519, verified with the public key that the API shows, by no code of ours."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.fakes.http_receiver import HttpReceiver, Received
from tests.platform import Platform, enqueue, run_tick


def make_key() -> str:
    private = Ed25519PrivateKey.generate()
    halves = private.private_bytes_raw() + private.public_key().public_bytes_raw()
    return f"whsk_{base64.b64encode(halves).decode()}"


def find_public(secret: str) -> str:
    return "whpk_" + base64.b64encode(base64.b64decode(secret.removeprefix("whsk_"))[32:]).decode()


def deliver_one(admin: Platform, receiver: HttpReceiver) -> Received:
    """What the webhook gets of a message: enqueued by its storing, sent by a tick."""
    enqueue(admin, 1)
    run_tick(admin.stack, 30, 0.5)
    return receiver.requests[-1]


def verifies(public_key: str, request: Received) -> bool:
    """As docs/api.md tells a receiver to."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    text = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    for signature in request.headers["webhook-signature"].split(" "):
        version, _, encoded = signature.partition(",")
        try:
            if version == "v1a":
                key.verify(base64.b64decode(encoded), text)
                return True
        except InvalidSignature:
            continue
    return False


def read_config(admin: Platform, integration: dict[str, Any]) -> dict[str, Any]:
    shown = admin.call("GET", f"/integrations/{integration['id']}").json()["integration"]
    return dict(shown["config"])


def test_a_delivery_is_verified_with_the_public_key_that_every_member_may_read(
    admin: Platform, receiver: HttpReceiver
) -> None:
    secret = make_key()
    webhook = admin.create("webhook", {"url": receiver.url, "signing_secret": secret})
    viewer = Platform(admin.stack, admin.stack.user("viewer", 0))

    request = deliver_one(admin, receiver)

    shown = read_config(viewer, webhook)
    assert secret not in str(shown)
    assert verifies(shown["signing_public_key"], request)
    assert not verifies(find_public(make_key()), request)


def test_a_rotation_makes_another_key_of_the_kind_and_both_sign_until_the_grace_ends(
    admin: Platform, receiver: HttpReceiver
) -> None:
    webhook = admin.create("webhook", {"url": receiver.url, "signing_secret": make_key()})
    path, old = f"/integrations/{webhook['id']}", read_config(admin, webhook)["signing_public_key"]

    made = admin.call("POST", f"{path}/rotate-secret").json()["generated"]["signing_secret"]
    new = read_config(admin, webhook)["signing_public_key"]
    during = deliver_one(admin, receiver)
    past = {"previous_signing_secret_until": "2026-01-01T00:00:00Z"}
    admin.call("PATCH", path, json={"config": past}).raise_for_status()
    after = deliver_one(admin, receiver)

    assert made.startswith("whsk_")
    assert old != new
    assert [verifies(key, during) for key in (old, new)] == [True, True]
    assert [verifies(key, after) for key in (old, new)] == [False, True]


def test_the_public_key_goes_where_the_secret_changes_kind_and_is_never_what_a_caller_says(
    admin: Platform, receiver: HttpReceiver
) -> None:
    given = {"url": receiver.url, "signing_secret": make_key(), "signing_public_key": "whpk_" + "A" * 43}
    webhook = admin.create("webhook", given)
    before = read_config(admin, webhook)["signing_public_key"]

    admin.call("PATCH", f"/integrations/{webhook['id']}", json={"config": {"signing_secret": None}})

    assert before == find_public(given["signing_secret"])
    assert "signing_public_key" not in read_config(admin, webhook)
