"""The client of Golioth's API, against a real server that speaks as Golioth does."""

from __future__ import annotations

import pytest

from shared.providers.golioth.api import Account, GoliothApi
from shared.runtime.deadline import Deadline
from shared.runtime.errors import CredentialsRefused, ProtocolFailed, ProviderRefused, TimedOut
from tests.fakes.golioth import Call, FakeGolioth, Fault, Reply, route

pytestmark = pytest.mark.usefixtures("allow_loopback")


@route("GET", "/test/numbers")
def list_numbers(call: Call) -> Reply:
    return call.page([{"n": n} for n in range(250)])


@route("GET", "/test/nothing")
def list_nothing(_: Call) -> Reply:
    return Reply({"page": 0, "perPage": 100, "total": 0})


def open_api(fake: FakeGolioth, seconds: float = 10, **fields: str | None) -> GoliothApi:
    account = {"base_url": fake.url, "api_key": fake.api_key, "project_id": fake.project_id} | fields
    return GoliothApi(Account(**account), Deadline(seconds))  # type: ignore[arg-type]


def test_one_object_comes_out_of_its_envelope(fake: FakeGolioth) -> None:
    with open_api(fake) as api:
        project = api.get_one(api.in_project())

    assert project["id"] == fake.project_id


@pytest.mark.parametrize("most_per_page", [100, 7])
def test_a_list_is_read_to_its_end_however_small_the_pages_are(fake: FakeGolioth, most_per_page: int) -> None:
    fake.most_per_page = most_per_page

    with open_api(fake) as api:
        numbers = [item["n"] for page in api.list_pages("/test/numbers") for item in page]

    assert numbers == list(range(250))


def test_a_list_without_anything_is_one_empty_page(fake: FakeGolioth) -> None:
    with open_api(fake) as api:
        assert list(api.list_pages("/test/nothing")) == [[]]


def test_a_wrong_key_is_told_in_golioths_words_and_tried_once(fake: FakeGolioth) -> None:
    with open_api(fake, api_key="canary-wrong") as api, pytest.raises(CredentialsRefused) as refusal:
        api.get_one(api.in_project())

    assert "permission denied" in refusal.value.detail
    assert "canary" not in refusal.value.detail
    assert len(fake.calls) == 1


def test_what_is_not_there_is_told_with_its_status(fake: FakeGolioth) -> None:
    with open_api(fake) as api, pytest.raises(ProviderRefused) as refusal:
        api.get_one("/test/unknown")

    assert refusal.value.answered == 404
    assert "Not Found" in refusal.value.detail


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(fake: FakeGolioth, status: int) -> None:
    fake.faults.append(Fault(times=1, status=status))

    with open_api(fake) as api:
        project = api.get_one(api.in_project())

    assert project["id"] == fake.project_id
    assert len(fake.calls) == 2


def test_a_call_that_may_have_had_its_effect_is_not_repeated(fake: FakeGolioth) -> None:
    fake.faults.append(Fault(times=1, status=500))

    with open_api(fake) as api, pytest.raises(ProviderRefused) as refusal:
        api.call("GET", api.in_project(), again=False)

    assert refusal.value.answered == 500
    assert len(fake.calls) == 1


def test_a_wait_that_is_longer_than_the_time_left_is_not_begun(fake: FakeGolioth) -> None:
    fake.faults.append(Fault(times=9, status=429, headers={"Retry-After": "25"}))

    with open_api(fake) as api, pytest.raises(ProviderRefused) as refusal:
        api.get_one(api.in_project())

    assert refusal.value.answered == 429
    assert len(fake.calls) == 1


def test_a_slow_answer_ends_with_the_deadline(fake: FakeGolioth) -> None:
    fake.faults.append(Fault(times=9, seconds=1.0))

    with open_api(fake, seconds=0.2) as api, pytest.raises(TimedOut):
        api.get_one(api.in_project())


def test_cohorts_without_an_organization_say_what_to_set(fake: FakeGolioth) -> None:
    with open_api(fake) as api, pytest.raises(ProtocolFailed, match="golioth_organization_id"):
        api.in_organization("cohorts")


def test_a_name_cannot_leave_its_place_in_the_path(fake: FakeGolioth) -> None:
    with open_api(fake) as api:
        assert api.in_project("devices", "../../x?y") == "/projects/acme-sensors/devices/..%2F..%2Fx%3Fy"
