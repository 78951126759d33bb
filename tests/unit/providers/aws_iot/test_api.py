"""AWS's API under faults: what passes is tried again, what does not is told in AWS's words, no key goes elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.provider import (
    CredentialsRefused,
    Deadline,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
)
from shared.providers.aws_iot import memory
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import AwsApi, find_data_endpoint, open_api
from shared.providers.aws_iot.hosts import check_data_host, check_simulator
from shared.providers.aws_iot.roles import find_keys, pardon_role
from shared.providers.aws_iot.signing import Keys
from tests.fakes.aws import FakeAws, Fault
from tests.fakes.aws.server import DATA_HOST, KEY_ID, SECRET
from tests.unit.providers.aws_iot.accounts import make_account
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def api(aws: FakeAws) -> Iterator[AwsApi]:
    with open_api(make_account(aws), "iot", Deadline(30)) as opened:
        yield opened


def list_names(api: AwsApi) -> list[str]:
    return [thing["thingName"] for thing in api.list_all("iot:ListThings", items="things")]


def test_a_call_is_signed_and_answered(aws: FakeAws, api: AwsApi) -> None:
    aws.ask("POST", "/things/pump-1", {})

    assert list_names(api) == ["pump-1"]
    assert aws.scopes == ["iot"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, name="ThrottlingException"),
        Fault(status=429, name="TooManyRequestsException"),
        Fault(status=500),
        Fault(status=503, name="ServiceUnavailableException"),
    ],
)
def test_what_passes_is_tried_again_under_a_new_signature(aws: FakeAws, api: AwsApi, fault: Fault) -> None:
    aws.faults.append(fault)
    aws.ask("POST", "/things/pump-1", {})

    assert list_names(api) == ["pump-1"]
    assert aws.calls == ["GET /things"] * 2


@pytest.mark.parametrize("fault", [Fault(close="before"), Fault(cut=20), Fault(seconds=2)])
def test_an_answer_that_is_cut_or_late_is_an_error_and_no_empty_list(aws: FakeAws, fault: Fault) -> None:
    aws.faults.append(fault)
    aws.ask("POST", "/things/pump-1", {})

    with open_api(make_account(aws), "iot", Deadline(1)) as api, pytest.raises(OutsideError):
        list_names(api)


def test_a_right_that_is_missing_is_told_in_the_words_of_aws(aws: FakeAws, api: AwsApi) -> None:
    aws.denied.add("iot:ListThings")

    with pytest.raises(CredentialsRefused, match=r"is not authorized to perform: iot:ListThings"):
        list_names(api)


def test_a_refusal_without_words_names_the_right_all_the_same(aws: FakeAws, api: AwsApi) -> None:
    aws.faults.append(Fault(status=403, name="ForbiddenException"))

    with pytest.raises(CredentialsRefused, match=r"ForbiddenException injected \(iot:ListThings\)"):
        list_names(api)


def test_a_key_that_is_revoked_is_refused_at_once(aws: FakeAws, api: AwsApi) -> None:
    aws.revoke()

    with pytest.raises(CredentialsRefused, match="UnrecognizedClientException"):
        list_names(api)
    assert len(aws.calls) == 1


def test_a_wrong_secret_is_known_by_the_signature(aws: FakeAws) -> None:
    account = make_account(aws, keys=Keys(KEY_ID, "canary-wrong"))

    with open_api(account, "iot", Deadline(9)) as api, pytest.raises(CredentialsRefused) as refusal:
        list_names(api)

    assert "InvalidSignatureException" in refusal.value.detail
    assert "canary" not in refusal.value.detail


def test_what_is_not_there_keeps_its_status(api: AwsApi) -> None:
    with pytest.raises(ProviderRefused, match="ResourceNotFoundException") as refusal:
        api.run("iot:DescribeThing", "nobody")

    assert refusal.value.answered == 404


# Endpoints


def test_the_data_endpoint_is_looked_up_once(aws: FakeAws) -> None:
    account = make_account(aws)

    assert {find_data_endpoint(account, Deadline(9)) for _ in range(3)} == {aws.url}
    assert aws.calls == ["GET /endpoint"]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "abc123-ats.iot.eu-west-1.amazonaws.com.evil.example",
        "abc123-ats.iot.us-east-1.amazonaws.com",
        "iot.eu-west-1.amazonaws.com",
        "abc-ats.iot.eu-west-1.amazonaws.com:8443",
        "evil.com#.iot.eu-west-1.amazonaws.com",
        "169.254.169.254",
        "",
    ],
)
def test_no_host_gets_a_signature_that_is_no_data_endpoint_of_the_region(aws: FakeAws, host: str) -> None:
    aws.endpoint = host

    with pytest.raises(ProtocolFailed, match="none of the region"):
        find_data_endpoint(make_account(aws, owner=host), Deadline(9))
    if host:
        with pytest.raises(ValueError, match="data endpoint"):
            check_data_host(host, "eu-west-1")


def test_without_a_simulator_only_hosts_of_aws_are_asked() -> None:
    account = Account("eu-west-1", Keys(KEY_ID, SECRET), data_endpoint=DATA_HOST)
    china = Account("cn-north-1", Keys(KEY_ID, SECRET))

    places = [account.locate(service) for service in ("iot", "s3", "sts")]

    assert places == [f"https://{name}.eu-west-1.amazonaws.com" for name in ("iot", "s3", "sts")]
    assert find_data_endpoint(account, Deadline(1)) == f"https://{DATA_HOST}"
    assert china.locate("iot") == "https://iot.cn-north-1.amazonaws.com.cn"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:4566",
        "https://aws.example.com",
        "http://127.0.0.1:4566/path",
        "http://127.0.0.1.evil.example",
    ],
)
def test_a_simulator_is_on_the_same_machine(url: str) -> None:
    with pytest.raises(ValueError, match="same machine"):
        check_simulator(url)


# Roles

ROLE = "arn:aws:iam::123456789012:role/device-integrations"


def make_role(aws: FakeAws, **changes: Any) -> Account:
    aws.roles[ROLE] = "issued-by-us"
    return make_account(aws, role_arn=ROLE, **{"external_id": "issued-by-us"} | changes)


def test_a_role_is_assumed_once_and_its_session_signs(aws: FakeAws) -> None:
    account = make_role(aws)

    for _ in range(3):
        with open_api(account, "iot", Deadline(9)) as api:
            assert list_names(api) == []

    assert aws.calls.count("POST /") == 1
    assert find_keys(account, Deadline(1)).token


def test_a_role_that_trusts_another_external_id_is_not_assumed(aws: FakeAws) -> None:
    account = make_role(aws, external_id="somebody-elses")

    with pytest.raises(CredentialsRefused, match="external id somebody-elses") as refusal:
        find_keys(account, Deadline(9))

    assert SECRET not in refusal.value.detail


def test_a_session_that_was_ended_at_aws_is_begun_anew(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SETTLED_SECONDS", 0.0)
    account = make_role(aws)
    with open_api(account, "iot", Deadline(9)) as api:
        del aws.keys[find_keys(account, Deadline(9)).access_key_id]
        with pytest.raises(CredentialsRefused):
            list_names(api)

    with open_api(account, "iot", Deadline(9)) as api:
        assert list_names(api) == []
    assert aws.calls.count("POST /") == 2


def test_a_session_of_one_integration_serves_no_other(aws: FakeAws) -> None:
    ours = make_role(aws)
    assert find_keys(ours, Deadline(9)).token
    others = [
        make_account(aws, role_arn=ROLE, external_id="theirs", owner="another"),
        make_account(aws, role_arn=ROLE, external_id="", owner="another"),
        make_account(aws, role_arn=ROLE, external_id="issued-by-us\0", owner="another"),
    ]

    for theirs in others:
        with pytest.raises(CredentialsRefused):
            find_keys(theirs, Deadline(9))


@pytest.mark.parametrize(("status", "name"), [(400, "Throttling"), (429, "TooManyRequests"), (503, "Busy")])
def test_a_role_that_can_not_be_assumed_for_now_is_no_refusal_for_good(
    aws: FakeAws, status: int, name: str
) -> None:
    account = make_role(aws)
    aws.faults.append(Fault("POST /$", status=status, name=name))

    with pytest.raises(ProviderRefused, match=name) as refusal:
        find_keys(account, Deadline(9))

    assert not refusal.value.is_final
    pardon_role(account)
    assert find_keys(account, Deadline(9)).token


def test_a_role_that_is_refused_is_asked_for_after_pauses_whoever_wants_it(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr("shared.providers.aws_iot.memory.time", Clock(now))
    account = make_role(aws, external_id="refused")

    def ask(times: int) -> int:
        for _ in range(times):
            with pytest.raises(CredentialsRefused, match="external id refused"):
                find_keys(account, Deadline(9))
        return aws.calls.count("POST /")

    asked = [ask(20)]
    for seconds in (7, 7, 13, 400):
        now[0] += seconds
        asked.append(ask(20))
    pardon_role(account)
    asked.append(ask(1))
    aws.roles[ROLE] = "refused"
    pardon_role(account)

    assert asked == [1, 2, 2, 3, 4, 5]
    assert find_keys(account, Deadline(9)).token


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: list[float]) -> None:
        self._now = now

    def monotonic(self) -> float:
        return self._now[0]


def test_many_that_want_a_role_at_once_have_it_assumed_once(aws: FakeAws) -> None:
    account = make_role(aws)

    with ThreadPoolExecutor(12) as pool:
        keys = list(pool.map(lambda _: find_keys(account, Deadline(30)), range(12)))

    assert len({each.token for each in keys}) == 1
    assert aws.calls.count("POST /") == 1


def test_who_waits_for_a_role_waits_no_longer_than_it_may(aws: FakeAws) -> None:
    account, gate = make_role(aws), threading.Event()
    aws.faults.append(Fault("POST /$", gate=gate))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(find_keys, account, Deadline(30))
        wait_until(lambda: "POST /" in aws.calls, "nobody asked")
        with pytest.raises(TimedOut):
            find_keys(account, Deadline(0.05))
        gate.set()

        assert first.result(30).token


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_who_has_no_time_left_to_assume_a_role_keeps_nobody_else_from_it(
    aws: FakeAws, seconds: float
) -> None:
    account, gate = make_role(aws), threading.Event()
    aws.faults.append(Fault("POST /$", gate=gate))
    with pytest.raises(TimedOut):
        find_keys(account, Deadline(seconds))
    gate.set()

    assert find_keys(account, Deadline(30)).token


def test_that_aws_itself_answers_too_late_is_remembered(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.aws_iot.roles.CALL_SECONDS", 0.05)
    account, gate = make_role(aws), threading.Event()
    aws.faults.append(Fault("POST /$", gate=gate))

    for _ in range(3):
        with pytest.raises(TimedOut):
            find_keys(account, Deadline(30))
    gate.set()

    assert aws.calls.count("POST /") <= 1


def test_a_right_that_is_missing_has_no_role_assumed_again(aws: FakeAws) -> None:
    account = make_role(aws)
    aws.denied.add("iot:ListThings")

    for _ in range(5):
        with open_api(account, "iot", Deadline(9)) as api, pytest.raises(CredentialsRefused):
            list_names(api)

    assert aws.calls.count("POST /") == 1


def test_what_is_remembered_of_accounts_has_a_bound(aws: FakeAws) -> None:
    known: memory.Memory[str] = memory.Memory()
    until = datetime.now(UTC) + timedelta(hours=1)
    for number in range(memory.REMEMBERED + 50):
        known.find(make_account(aws, external_id=str(number)), Deadline(9), lambda: ("known", until))

    assert len(known._known) == memory.REMEMBERED
