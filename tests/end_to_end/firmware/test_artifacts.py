"""Artifacts, cohorts, packages and deployments through the API, at a Golioth of our own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.end_to_end.firmware_site import Site, open_site
from tests.fakes.golioth import Fault
from tests.fakes.golioth.firmware import make_artifact, make_cohort
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.stack import Stack

IMAGE = bytes(range(256)) * 5_000  # 1.3 MB
OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def site(stack: Stack) -> Iterator[Site]:
    with open_site(stack) as opened:
        yield opened


def upload(site: Site, content: bytes = b"image", **query: str) -> httpx.Response:
    params = {"version": "1.3"} | query
    return site.call("POST", "/artifacts", params=params, content=content, headers=OCTETS)


def test_an_image_larger_than_a_json_body_is_uploaded_read_and_deleted(site: Site) -> None:
    created = upload(site, IMAGE, version="1.3.0+build.7", package="modem", blueprint_id="b1")
    artifact = created.json()["artifact"]
    shown = site.call("GET", f"/artifacts/{artifact['id']}")
    listed = site.call("GET", "/artifacts").json()
    deleted = site.call("DELETE", f"/artifacts/{artifact['id']}")

    assert created.status_code == 201
    assert created.headers["Location"] == f"/functions/v1{site.path}/artifacts/{artifact['id']}"
    assert site.fake.store["contents"][artifact["id"]] == IMAGE
    assert (artifact["package"], artifact["version"]) == ("modem", "1.3.0+build.7")
    assert (artifact["size"], artifact["blueprint_id"]) == (len(IMAGE), "b1")
    assert shown.json() == {"artifact": artifact}
    assert listed == {"artifacts": [artifact], "next_cursor": None}
    assert (deleted.status_code, site.fake.store["artifacts"]) == (204, {})


def test_a_small_image_may_come_in_json(site: Site) -> None:
    body = {"version": "1.3", "content": base64.b64encode(b"image").decode()}

    created = site.call("POST", "/artifacts", json=body)

    assert created.status_code == 201, created.text
    assert created.json()["artifact"]["package"] == "main"
    assert list(site.fake.store["contents"].values()) == [b"image"]


@pytest.mark.parametrize(
    "query", [{}, {"version": "1 3"}, {"version": "1\n3"}, {"version": ""}, {"package": "a b"}]
)
def test_a_version_with_spaces_or_control_characters_is_refused(site: Site, query: dict[str, str]) -> None:
    params = ({"version": "1"} | query) if query else {}
    reply = site.call("POST", "/artifacts", params=params, content=b"x", headers=OCTETS)

    assert reply.status_code == 400
    assert [error["field"] for error in reply.json()["errors"]] == [next(iter(query), "version")]
    assert site.fake.calls == []


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ({"content": b"", "headers": OCTETS}, 400, "empty"),
        ({"content": b"x" * 16_777_217, "headers": OCTETS}, 413, "16777216"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "octet-stream"),
        ({"json": {"version": "1", "content": "?"}}, 400, "fields"),
        ({"json": {"version": "1", "content": "aQ==", "x": 1}}, 400, "fields"),
        ({"json": {"version": "1", "content": "a" * 1_048_576}}, 413, "1048576"),
    ],
)
def test_a_body_that_is_no_image_is_refused(
    site: Site, request_: dict[str, Any], status: int, told: str
) -> None:
    reply = site.call("POST", "/artifacts", params={"version": "1"}, **request_)

    assert reply.status_code == status
    assert told in reply.json()["detail"]
    assert site.fake.calls == []


def test_a_version_that_is_there_already_is_told(site: Site) -> None:
    make_artifact(site.fake, "main", "1.3")

    reply = upload(site)

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert "1.3" in reply.json()["detail"]


def test_an_artifact_in_use_is_not_deleted(site: Site) -> None:
    artifact, cohort = make_artifact(site.fake, "main", "1.3"), make_cohort(site.fake, "fleet")
    body = {"cohort_id": cohort["cohortId"], "name": "spring", "artifact_ids": [artifact["id"]]}
    deployed = site.call("POST", "/deployments", json=body)

    reply = site.call("DELETE", f"/artifacts/{artifact['id']}")

    assert deployed.status_code == 201, deployed.text
    assert (reply.status_code, reply.json()["detail"]) == (409, "Golioth answered 400: artifact in use")


def test_cohorts_deployments_and_packages_are_listed(site: Site) -> None:
    artifact = make_artifact(site.fake, "main", "1.3")
    cohort = site.call("POST", "/cohorts", json={"name": "fleet"}).json()["cohort"]
    body = {"cohort_id": cohort["id"], "name": "spring", "artifact_ids": [artifact["id"]]}
    deployment = site.call("POST", "/deployments", json=body).json()["deployment"]

    cohorts = site.call("GET", "/cohorts").json()["cohorts"]
    named = {"params": {"cohort_id": cohort["id"]}, "json": {"name": "b", "artifact_ids": [artifact["id"]]}}
    newer = site.call("POST", "/deployments", **named).json()["deployment"]
    deployments = site.call("GET", "/deployments", params={"cohort_id": cohort["id"]}).json()
    packages = site.call("GET", "/packages").json()

    assert cohorts == [cohort | {"active_deployment_id": deployment["id"]}]
    assert deployments == {"deployments": [deployment, newer], "next_cursor": None}
    assert site.call("GET", "/deployments").status_code == 400
    assert [package["id"] for package in packages["packages"]] == ["main"]


def test_lists_go_page_by_page(site: Site) -> None:
    site.fake.most_per_page, cursor, seen = 2, "", []
    made = [make_artifact(site.fake, "main", f"1.{number}")["id"] for number in range(5)]

    while cursor is not None:
        page = site.call("GET", "/artifacts", params={"cursor": cursor}).json()
        seen += [artifact["id"] for artifact in page["artifacts"]]
        cursor = page["next_cursor"]

    assert seen == made
    assert site.call("GET", "/artifacts", params={"cursor": "x"}).status_code == 400


@pytest.mark.parametrize(
    ("caller", "status"),
    [(("viewer", 0), 403), (("member", 0), 403), (("owner", 1), 404), (("stranger", 0), 404)],
)
def test_only_admins_reach_the_platform_and_others_images_are_not_taken(
    site: Site, caller: tuple[str, int], status: int
) -> None:
    other = site.as_user(*caller)
    rollout = {"name": "x", "artifact_ids": ["a"], "cohort_id": "c"}

    replies = [
        upload(other, IMAGE),
        other.call("GET", "/artifacts"),
        other.call("GET", "/artifacts/a"),
        other.call("DELETE", "/artifacts/a"),
        other.call("GET", "/cohorts"),
        other.call("POST", "/cohorts", json={"name": "mine"}),
        other.call("GET", "/packages"),
        other.call("GET", "/deployments", params={"cohort_id": "c"}),
        other.call("POST", "/rollouts", json=rollout),
    ]

    assert [reply.status_code for reply in replies] == [status] * len(replies)
    assert site.fake.calls == []


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault(status=500), 502, "provider_refused"),
        (Fault(status=429, headers={"Retry-After": "29"}), 502, "provider_refused"),
        (Fault(status=403), 502, "credentials_refused"),
        (Fault(status=400), 400, "bad_request"),
        (Fault(status=404), 404, "not_found"),
        (Fault(status=409), 409, "conflict"),
    ],
)
def test_what_golioth_refuses_is_told_in_its_words(site: Site, fault: Fault, status: int, code: str) -> None:
    site.fake.faults.append(fault)

    reply = site.call("POST", "/cohorts", json={"name": "fleet"})

    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert "injected" in reply.json()["detail"]


def test_a_connection_that_is_closed_is_told(site: Site) -> None:
    site.fake.faults.append(Fault(close="before"))

    reply = site.call("POST", "/cohorts", json={"name": "fleet"})

    assert reply.status_code == 502


@pytest.mark.parametrize("status", [400, 404, 409, 418])
def test_a_platform_that_repeats_the_key_does_not_give_it_away(stack: Stack, status: int) -> None:
    def repeat(request: Any) -> Answer:
        return Answer(status, json.dumps({"message": f"who is {request.headers['x-api-key']}?"}).encode())

    with HttpReceiver(repeat) as echo, open_site(stack, base_url=echo.url) as site:
        reply = site.call("POST", "/cohorts", json={"name": "fleet"})

    assert reply.json()["detail"] == f"Golioth answered {status}: who is ***?"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("name", ["%2E%2E", "a%20b", ".x", "%00"])
def test_a_name_that_leads_elsewhere_is_refused(site: Site, method: str, name: str) -> None:
    reply = site.call(method, f"/artifacts/{name}")

    assert reply.status_code == 400
    assert site.fake.calls == []


def test_a_type_without_firmware_says_so(site: Site) -> None:
    webhook = site.platform.create("webhook", {"url": "http://127.0.0.1:9/hook"})

    reply = site.platform.call("GET", f"/integrations/{webhook['id']}/artifacts")

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")


def test_cohorts_of_a_config_without_an_organization_say_what_to_set(stack: Stack) -> None:
    with open_site(stack, golioth_organization_id=None) as site:
        reply = site.call("GET", "/cohorts")

    assert reply.status_code == 502
    assert "golioth_organization_id" in reply.json()["detail"]
