"""Credentials that are refused to one kind of call while others succeed: one alert, until that kind succeeds too."""

from __future__ import annotations

import pytest

from tests.database.fixtures import Service, make_messages
from tests.database.queue import make_webhook
from tests.database.test_alert_kinds import end_session_well, judge, list_open, tell_of
from tests.database.test_command_queue import SEND
from tests.database.test_command_queue import finish as finish_commands
from tests.database.test_command_queue import lease as lease_commands
from tests.database.test_jobs import begin_job
from tests.database.test_jobs import finish as finish_job
from tests.database.test_jobs import lease as lease_jobs

KIND = "authentication.failed"


def refuse(service: Service, integration: str, call: str, times: int = 3) -> None:
    for _ in range(times):
        service.run(
            "select explain_failure(%s, 'credentials_refused', 'Not authorized.', %s)", integration, call
        )


def succeed(service: Service, integration: str, call: str) -> None:
    """A call of a kind that is not refused: a session, a command, or a job."""
    if call == "session":
        service.connection.execute("update integration_schedules set attempts = 1")
        end_session_well(service, integration)
    elif call == "command":
        service.ingest(integration, make_messages(1))
        service.connection.execute(SEND, (3_600, 1, integration))
        finish_commands(service, lease_commands(service))
    else:
        begin_job(service, integration, call)
        (held,) = lease_jobs(service)
        finish_job(service, held, "done")


@pytest.mark.parametrize(
    ("refused", "succeeded", "ends"),
    [
        ("session", "session", True),
        ("sync", "sync", True),
        ("rollout", "rollout", True),
        ("command", "command", True),
        ("sync", "command", False),
        ("sync", "session", False),
        ("sync", "rollout", False),
        ("sync", "redecode", False),
        ("command", "sync", False),
        ("session", "sync", False),
    ],
)
def test_an_alert_is_over_when_the_kind_of_call_succeeds_that_was_refused(
    service: Service, refused: str, succeeded: str, *, ends: bool
) -> None:
    integration = service.make_integration()
    refuse(service, integration, refused)

    succeed(service, integration, succeeded)
    judge(service)

    assert (KIND in list_open(service, integration)) != ends


def test_a_right_that_only_one_kind_of_call_lacks_is_one_alert_that_does_not_flap(service: Service) -> None:
    listener, integration = make_webhook(service, events=["alert.*"]), service.make_integration()

    for _ in range(5):
        refuse(service, integration, "sync", 2)
        succeed(service, integration, "rollout")
        judge(service)

    told = [event for event, kind in tell_of(service, listener) if kind == KIND]
    assert told == ["alert.raised"]
    message = service.one("select message from alerts where integration_id = %s", integration)
    assert "10 times in a row (sync)" in message


def test_what_two_kinds_are_refused_is_over_when_both_succeed(service: Service) -> None:
    integration = service.make_integration()
    refuse(service, integration, "sync")
    refuse(service, integration, "rollout")

    succeed(service, integration, "sync")
    one = KIND in list_open(service, integration)
    succeed(service, integration, "rollout")

    assert (one, KIND in list_open(service, integration)) == (True, False)


def test_a_kind_that_nobody_asks_for_any_more_is_forgotten_in_a_day_while_others_work(
    service: Service,
) -> None:
    integration = service.make_integration()
    refuse(service, integration, "provision")
    succeed(service, integration, "sync")
    within = KIND in list_open(service, integration)
    service.connection.execute(
        "update integration_facts"
        " set refused = jsonb_set(refused, '{provision,at}', to_jsonb(now() - interval '25 hours'))"
    )

    judge(service)
    alone = KIND in list_open(service, integration)
    succeed(service, integration, "sync")

    assert (within, alone, KIND in list_open(service, integration)) == (True, True, False)


def test_a_change_of_the_integration_begins_to_count_anew(service: Service) -> None:
    integration = service.make_integration()
    refuse(service, integration, "sync")

    service.run(
        "update device_integrations set settings = settings || '{\"x\": 1}' where id = %s returning 1",
        integration,
    )
    judge(service)
    over = KIND not in list_open(service, integration)
    refuse(service, integration, "sync", 2)
    judge(service)

    assert (over, KIND in list_open(service, integration)) == (True, False)
