"""ETag, If-Match and If-None-Match: two admins do not overwrite each other, and a poller reads nothing twice."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.platform import Platform
from tests.stack import Stack

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "devices/+/telemetry"}


@pytest.fixture
def path(admin: Platform) -> str:
    return f"/integrations/{admin.create('mqtt', MQTT | {'username': 'u', 'password': 'p'})['id']}"


def patch(platform: Platform, path: str, tag: str, **body: Any) -> httpx.Response:
    return platform.call("PATCH", path, json=body, headers={"If-Match": tag})


def tag_of(platform: Platform, path: str) -> str:
    return platform.call("GET", path).headers["ETag"]


def report(stack: Stack, path: str, error: str | None) -> None:
    """What the scheduler does at the end of a session."""
    with stack.connect() as connection:
        connection.execute("set local role service_role")
        connection.execute(
            "update integration_schedules set lease_token = %s where integration_id = %s",
            (token := uuid.uuid4(), path.rpartition("/")[2]),
        )
        connection.execute("select finish_session(%s, %s, %s)", (path.rpartition("/")[2], token, error))


def test_every_reply_that_shows_one_integration_has_the_same_tag(admin: Platform) -> None:
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": f"Broker {uuid.uuid4()}",
        "config": MQTT,
    }

    created = admin.call("POST", "/integrations", json=body)
    path = f"/integrations/{created.json()['integration']['id']}"
    patched = admin.call("PATCH", path, json={"name": f"Renamed {uuid.uuid4()}"})

    assert created.headers["ETag"] != patched.headers["ETag"] == tag_of(admin, path)


def test_a_change_of_what_was_read_last_is_made_and_of_an_older_version_refused(
    admin: Platform, path: str
) -> None:
    read = tag_of(admin, path)
    admin.call("PATCH", path, json={"name": f"Faster {uuid.uuid4()}"})

    late = patch(admin, path, read, name="Lost")
    late_config = patch(admin, path, read, config={"topics": "lost/#"})
    in_time = patch(admin, path, tag_of(admin, path), name=f"Kept {uuid.uuid4()}")

    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert late_config.status_code == 412
    assert in_time.status_code == 200
    assert in_time.json()["integration"]["config"]["topics"] == [MQTT["topics"]]


@pytest.mark.parametrize("kind", ["name", "config"])
def test_of_two_admins_patching_the_same_version_at_once_exactly_one_wins(
    stack: Stack, admin: Platform, path: str, kind: str
) -> None:
    owner = Platform(stack, stack.user("owner", 0))
    read = tag_of(admin, path)
    bodies = [
        {"name": f"Mine {uuid.uuid4()}"} if kind == "name" else {"config": {"topics": f"{n}/#"}}
        for n in range(6)
    ]

    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda n: patch((admin, owner)[n % 2], path, read, **bodies[n]), range(6)))

    assert sorted(reply.status_code for reply in replies) == [200, *[412] * 5]
    (won,) = [reply for reply in replies if reply.status_code == 200]
    assert admin.call("GET", path).json() == won.json()


def test_without_if_match_config_patches_of_different_fields_at_once_are_all_kept(
    admin: Platform, path: str
) -> None:
    changes = [{"topics": "all/#"}, {"username": "v"}, {"password": "q"}]

    with ThreadPoolExecutor(3) as threads:
        replies = list(
            threads.map(lambda config: admin.call("PATCH", path, json={"config": config}), changes)
        )

    assert {reply.status_code for reply in replies} == {200}
    config = admin.call("GET", path).json()["integration"]["config"]
    assert (config["topics"], config["username"]) == (["all/#"], "v")


def test_what_the_scheduler_reports_does_not_fail_an_admins_if_match(
    stack: Stack, admin: Platform, path: str
) -> None:
    read = tag_of(admin, path)
    report(stack, path, "The broker is away.")

    reply = patch(admin, path, read, name=f"Renamed {uuid.uuid4()}")

    assert reply.status_code == 200
    assert reply.json()["integration"]["status"] == "error"


def test_a_delete_of_an_older_version_is_refused_and_of_the_current_one_done(
    admin: Platform, path: str
) -> None:
    read = tag_of(admin, path)
    admin.call("PATCH", path, json={"status": "inactive"})

    late = admin.call("DELETE", path, headers={"If-Match": read})
    in_time = admin.call("DELETE", path, headers={"If-Match": tag_of(admin, path)})

    assert (late.status_code, in_time.status_code) == (412, 204)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("tag", "status"),
    [('"1.0"', 412), ("nonsense", 412), (b'"\xb2."', 412), (f'"{"9" * 5000}.0"', 412), ("*", 200)],
)
def test_a_tag_that_is_not_of_the_current_version_never_matches_and_a_star_always_does(
    admin: Platform, path: str, method: str, tag: str | bytes, status: int
) -> None:
    admin.call("PATCH", path, json={"name": f"Version 2 {uuid.uuid4()}"})

    reply = admin.call(method, path, headers={"If-Match": tag}, json={"name": f"Version 3 {uuid.uuid4()}"})

    assert reply.status_code == (204 if (method, status) == ("DELETE", 200) else status)


@pytest.mark.parametrize("spelling", ["W/{}", '"0.0", {}', '{} ,W/"0.0"'])
def test_a_tag_counts_weakened_by_a_proxy_and_in_a_list(admin: Platform, path: str, spelling: str) -> None:
    reply = patch(admin, path, spelling.format(tag_of(admin, path)), name=f"Renamed {uuid.uuid4()}")

    assert reply.status_code == 200


@pytest.mark.parametrize(("persona", "status"), [(("member", 0), 403), (("owner", 1), 404)])
def test_who_may_not_change_it_is_told_so_rather_than_that_it_changed(
    stack: Stack, path: str, persona: tuple[str, int], status: int
) -> None:
    caller = Platform(stack, stack.user(*persona))

    replies = [
        patch(caller, path, '"0.0"', name="Mine"),
        patch(caller, path, '"0.0"', config={"topics": "#"}),
        caller.call("DELETE", path, headers={"If-Match": '"0.0"'}),
    ]

    assert [reply.status_code for reply in replies] == [status] * 3


def test_what_the_caller_has_already_is_not_sent_again(stack: Stack, admin: Platform, path: str) -> None:
    read = tag_of(admin, path)

    same = admin.call("GET", path, headers={"If-None-Match": f"W/{read}"})
    report(stack, path, "The broker is away.")
    reported = admin.call("GET", path, headers={"If-None-Match": read})

    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", read)
    assert (reported.status_code, reported.json()["integration"]["status"]) == (200, "error")


def test_updated_at_rises_with_every_change_of_an_admin(admin: Platform, path: str) -> None:
    seen = [
        admin.call("PATCH", path, json={"name": f"Renamed {uuid.uuid4()}"}).json()["integration"][
            "updated_at"
        ]
        for _ in range(3)
    ]

    assert seen == sorted(set(seen))
