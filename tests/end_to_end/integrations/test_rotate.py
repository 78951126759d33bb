"""Signing secrets that we make: shown once, used at once, rotated with grace, verified by the libraries of others."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Oracle
from standardwebhooks import WebhookVerificationError

from tests.end_to_end.test_canary_secrets import read_rows
from tests.fakes.http_receiver import HttpReceiver, Received
from tests.platform import Platform

NPM_PACKAGE = "standardwebhooks@1.1.1"
VERIFY = """
import { Webhook } from 'standardwebhooks'
const { secrets, headers, body } = JSON.parse(await new Response(process.stdin).text())
console.log(JSON.stringify(secrets.map((secret) => new Webhook(secret).verify(body, headers).type)))
"""


def create(admin: Platform, url: str, headers: dict[str, str] | None = None, **config: Any) -> httpx.Response:
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "webhook",
        "name": f"Webhook {uuid.uuid4()}",
        "config": {"url": url} | config,
    }
    reply = admin.call("POST", "/integrations", json=body, headers=headers or {})
    assert reply.status_code == 201, reply.text
    return reply


def rotate(admin: Platform, integration_id: str, **request: Any) -> httpx.Response:
    return admin.call("POST", f"/integrations/{integration_id}/rotate-secret", **request)


def send_test(admin: Platform, receiver: HttpReceiver, integration_id: str) -> Received:
    """What a connection test sends: signed as any delivery."""
    reply = admin.call("POST", f"/integrations/{integration_id}/test")
    assert reply.json()["ok"], reply.text
    return receiver.requests[-1]


def verifies(secret: str, request: Received) -> bool:
    try:
        Oracle(secret).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


def test_a_webhook_without_a_secret_gets_one_and_signs_with_it(
    admin: Platform, receiver: HttpReceiver
) -> None:
    created = create(admin, receiver.url).json()

    request = send_test(admin, receiver, created["integration"]["id"])

    assert created["integration"]["secrets"] == ["signing_secret"]
    assert set(created["generated"]) == {"signing_secret"}
    assert verifies(created["generated"]["signing_secret"], request)


def test_a_made_secret_is_shown_once_and_nowhere_else(admin: Platform, receiver: HttpReceiver) -> None:
    created = create(admin, receiver.url).json()
    integration_id, secret = created["integration"]["id"], created["generated"]["signing_secret"]
    rotated = rotate(admin, integration_id).json()["generated"]["signing_secret"]
    path = f"/integrations/{integration_id}"

    shown = [
        admin.call("GET", path).text,
        admin.call("GET", "/integrations", params={"limit": "200"}).text,
        admin.call("PATCH", path, json={"config": {"method": "PUT"}}).text,
        admin.call("POST", f"{path}/test").text,
        admin.call("GET", f"{path}/activity").text,
        json.dumps(admin.rows("audit_log", row_id=f"eq.{integration_id}", select="*")),
    ]

    assert not [text for text in shown if secret in text or rotated in text or "generated" in text]


def test_a_made_secret_is_in_no_log_and_in_clear_in_no_row(admin: Platform, receiver: HttpReceiver) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    created = create(admin, receiver.url, headers).json()
    rotated = rotate(admin, created["integration"]["id"]).json()
    send_test(admin, receiver, created["integration"]["id"])

    logs = [file.read_text() for file in (admin.stack.functions_env.parent / "logs").glob("*.log")]
    kept = "\n".join(logs + [text for _, text in read_rows(admin.stack)])

    assert created["integration"]["id"] in kept
    assert created["generated"]["signing_secret"] not in kept
    assert rotated["generated"]["signing_secret"] not in kept


@pytest.mark.parametrize("given", [{"signing_secret": None}, {"signing_secret": "whsec_" + "QUJD" * 8}])
def test_a_secret_that_is_given_or_refused_is_not_made(
    admin: Platform, receiver: HttpReceiver, given: dict[str, Any]
) -> None:
    created = create(admin, receiver.url, **given).json()

    assert set(created) == {"integration"}
    assert created["integration"]["secrets"] == [name for name, value in given.items() if value]


def test_a_repeated_create_does_not_show_the_secret_again(admin: Platform, receiver: HttpReceiver) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "webhook",
        "name": f"Webhook {uuid.uuid4()}",
        "config": {"url": receiver.url},
    }

    first, again = (admin.call("POST", "/integrations", json=body, headers=headers) for _ in range(2))

    assert first.json()["integration"] == again.json()["integration"]
    assert (set(first.json()), set(again.json())) == ({"integration", "generated"}, {"integration"})


def test_after_a_rotation_both_secrets_verify_until_the_grace_period_ends(
    admin: Platform, receiver: HttpReceiver
) -> None:
    created = create(admin, receiver.url).json()
    integration_id, old = created["integration"]["id"], created["generated"]["signing_secret"]

    reply = rotate(admin, integration_id)
    new = reply.json()["generated"]["signing_secret"]
    during = send_test(admin, receiver, integration_id)
    past = {"config": {"previous_signing_secret_until": "2026-01-01T00:00:00Z"}}
    admin.call("PATCH", f"/integrations/{integration_id}", json=past)
    after = send_test(admin, receiver, integration_id)

    assert reply.status_code == 200
    assert reply.json()["integration"]["secrets"] == ["previous_signing_secret", "signing_secret"]
    assert reply.json()["integration"]["config"]["previous_signing_secret_until"]
    assert old != new
    assert [verifies(secret, during) for secret in (old, new)] == [True, True]
    assert [verifies(secret, after) for secret in (old, new)] == [False, True]


def test_a_rotation_without_grace_ends_the_old_secret_at_once(
    admin: Platform, receiver: HttpReceiver
) -> None:
    created = create(admin, receiver.url).json()
    integration_id, old = created["integration"]["id"], created["generated"]["signing_secret"]
    rotate(admin, integration_id)

    reply = rotate(admin, integration_id, json={"grace_seconds": 0})

    request = send_test(admin, receiver, integration_id)
    assert reply.json()["integration"]["secrets"] == ["signing_secret"]
    assert not verifies(old, request)
    assert verifies(reply.json()["generated"]["signing_secret"], request)


def test_an_unsigned_webhook_gets_its_first_secret_by_a_rotation(
    admin: Platform, receiver: HttpReceiver
) -> None:
    created = create(admin, receiver.url, signing_secret=None).json()["integration"]

    reply = rotate(admin, created["id"])

    assert reply.json()["integration"]["secrets"] == ["signing_secret"]
    assert verifies(reply.json()["generated"]["signing_secret"], send_test(admin, receiver, created["id"]))


@pytest.mark.parametrize(
    ("persona", "status"),
    [(("viewer", 0), 403), (("member", 0), 403), (("owner", 1), 404), (("stranger", 0), 404)],
)
def test_only_admins_rotate(
    admin: Platform, receiver: HttpReceiver, persona: tuple[str, int], status: int
) -> None:
    created = create(admin, receiver.url).json()
    caller = Platform(admin.stack, admin.stack.user(*persona))

    refused = rotate(caller, created["integration"]["id"])

    assert refused.status_code == status
    assert verifies(
        created["generated"]["signing_secret"], send_test(admin, receiver, created["integration"]["id"])
    )


def test_a_rotation_of_what_somebody_else_changed_is_refused(admin: Platform, receiver: HttpReceiver) -> None:
    reply = create(admin, receiver.url)
    integration_id, seen = reply.json()["integration"]["id"], reply.headers["ETag"]
    admin.call("PATCH", f"/integrations/{integration_id}", json={"name": f"Other {uuid.uuid4()}"})

    refused = rotate(admin, integration_id, headers={"If-Match": seen})

    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "password"}, "name"),
        ({"grace_seconds": -1}, "grace_seconds"),
        ({"grace_seconds": True}, "grace_seconds"),
        ({"grace_seconds": 604_801}, "grace_seconds"),
        ({"signing_secret": "x"}, "signing_secret"),
    ],
)
def test_a_malformed_rotation_is_named(
    admin: Platform, receiver: HttpReceiver, body: dict[str, Any], field: str
) -> None:
    created = create(admin, receiver.url).json()["integration"]

    refused = rotate(admin, created["id"], json=body)

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)


def test_a_type_without_made_secrets_says_so(admin: Platform) -> None:
    broker = {"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": "#"}
    created = admin.create("mqtt", broker, status="inactive")

    refused = rotate(admin, created["id"])

    assert (refused.status_code, refused.json()["code"]) == (501, "not_supported")


def test_a_bad_template_is_refused_at_create_with_the_place_of_the_error(
    admin: Platform, receiver: HttpReceiver
) -> None:
    template = {"list": [1, {"text": "{{ device.name"}]}
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "webhook",
        "name": f"Webhook {uuid.uuid4()}",
        "config": {"url": receiver.url, "payload_template": template},
    }

    refused = admin.call("POST", "/integrations", json=body)

    (error,) = refused.json()["errors"]
    assert (refused.status_code, error["field"]) == (422, "payload_template")
    assert "list" in error["message"]
    assert "text" in error["message"]


def test_a_connection_test_shows_the_rendered_request_and_the_answer_without_secrets(
    admin: Platform, receiver: HttpReceiver
) -> None:
    token = f"token-{uuid.uuid4()}"
    template = {"from": "{{ device.external_id }}", "kind": "{{ event.kind }}"}
    created = create(admin, receiver.url, bearer_token=token, payload_template=template).json()

    reply = admin.call("POST", f"/integrations/{created['integration']['id']}/test")

    sent, answered = reply.json()["checks"]
    assert '{"from":"test-device","kind":"event"}' in sent["detail"]
    assert "Authorization: Bearer ***" in sent["detail"]
    assert answered["detail"].startswith("200 after")
    assert token not in reply.text


@pytest.fixture(scope="module")
def verify_in_node() -> Iterator[Callable[[list[str], Received], list[str]]]:
    """Verifies with the npm package; what it says the type of the event is, for each secret."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Node and npm are not installed")
    with tempfile.TemporaryDirectory(prefix="standardwebhooks-") as folder:
        install = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder]
        subprocess.run([*install, NPM_PACKAGE], check=True, timeout=120)
        (Path(folder) / "verify.mjs").write_text(VERIFY)

        def verify(secrets: list[str], request: Received) -> list[str]:
            question = {"secrets": secrets, "headers": request.headers, "body": request.body.decode()}
            done = subprocess.run(
                [node, "verify.mjs"],
                cwd=folder,
                input=json.dumps(question).encode(),
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stderr.decode()
            return list(json.loads(done.stdout))

        yield verify


def test_the_npm_package_verifies_what_we_send_with_either_secret_of_a_rotation(
    admin: Platform, receiver: HttpReceiver, verify_in_node: Callable[[list[str], Received], list[str]]
) -> None:
    created = create(admin, receiver.url).json()
    integration_id, old = created["integration"]["id"], created["generated"]["signing_secret"]
    new = rotate(admin, integration_id).json()["generated"]["signing_secret"]

    types = verify_in_node([old, new], send_test(admin, receiver, integration_id))

    assert types == ["integration.test"] * 2
