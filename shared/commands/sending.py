"""Sending commands to devices: leased, sent side by side, tried again with backoff until they expire, recorded."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Literal, TypedDict

from shared.integrations.refusals import explain_refusal
from shared.integrations.sealing import SealedIntegration, open_provider
from shared.provider import Command, Commander, Item, Outcome, replace_nul, require
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.database.leases import UNREAD, Unread
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, CredentialsRefused, NotSupported, Problem, ProviderRefused
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.idle_watch import Pulse
from shared.runtime.lease_loop import LeaseLoop
from shared.runtime.log import get_log
from shared.runtime.outbound import time_calls

AT_ONCE = 128
"""No more than 16 of them of one integration: `lease_commands` sees to it."""

BEGUN_AT_ONCE = 32
"""So that those under way get their share of the processor, too."""

LEASE_SECONDS = 60
BACKOFF = Backoff(5.0, 300.0)
HELD = frozenset((HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE))
"""What is answered to one command and holds for all of its integration."""

RESULT_LIMIT = 65_536
"""Bytes of a device's answer that are kept."""

REFERENCE_LIMIT = 2_000
"""Characters of the other side's own name for a command."""

UNKEPT = "What came back can't be kept."


class LeasedCommand(TypedDict):
    """A command as `lease_commands` answers it; `device` is its external id. Members may write any `codec_names`."""

    id: str
    lease_token: str
    organization_id: str
    integration_id: str
    attempts: int
    name: str
    payload: object
    expires_at: str
    device: str
    codec_names: list[object]


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a command, as `finish_commands` takes it."""

    id: str
    lease_token: str
    outcome: Literal["sent", "confirmed", "failed", "retry"]
    error: str | None = None
    retry_seconds: float | None = None
    reference: str | None = None
    result: object = None
    code: str | None = None
    """What kind of error it was."""
    milliseconds: float | None = None
    """How long the other side took."""
    hold_seconds: float | None = None
    """For how long the other side wants no more commands of the whole integration."""
    certificate: tuple[float, float] | None = None
    """When that of the other side begins and ends to hold."""


def run_commands(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Send what is due until `deadline`; the counts of `finish_commands`.

    A device that takes its time to answer holds up its own command only.
    """
    return _Commands(database, deadline, pulse).run()


Sendable = tuple[LeasedCommand, SealedIntegration | None]


class _Commands(LeaseLoop[Sendable, CommandResult]):
    """A lease is longer than any command takes, so none is renewed."""

    name = "command"
    is_eager = True
    keeps_results = True

    def __init__(self, database: Database, deadline: Deadline, pulse: Pulse) -> None:
        super().__init__(database, deadline, AT_ONCE)
        self._pulse = pulse

    def lease(self, room: int) -> list[Sendable]:
        leases = self.database.lease(
            "lease_commands",
            "commands",
            p_limit=self.shares.find_room(min(room, BEGUN_AT_ONCE)),
            p_lease_seconds=LEASE_SECONDS,
            p_shares=self.shares.limit(),
        )
        rows: list[LeasedCommand] = self.keep_readable(leases)
        return [(row, leases.integrations.get(row["integration_id"])) for row in rows]

    def name_owner(self, row: Sendable) -> str:
        return row[0]["organization_id"]

    def refuse(self, unread: Unread) -> None:
        self.record([CommandResult(unread.id, unread.lease_token, "failed", UNREAD)])

    def work(self, row: Sendable) -> CommandResult:
        with self._pulse.busy():
            begun, calls = time.perf_counter(), time_calls()
            sent = _send(*row)
            milliseconds = round((time.perf_counter() - begun) * 1000, 1)
            explain_refusal(self.database, row[0]["integration_id"], "command", sent.code, sent.error or "")
            return replace(sent, milliseconds=milliseconds, certificate=calls.certificate)

    def finish(self, ended: list[CommandResult]) -> None:
        """Record them together; one that has what JSON or the database can't hold, alone and without what came back.

        What is not recorded is sent again once its lease has run out: at least once, like everything that goes out.
        """
        try:
            counts = self.database.call("finish_commands", p_results=ended)
            busy = counts.pop("busy", ())
            self.counts.update(counts)
            self.keep([each for each in ended if each.id in busy])
        except (BadRequest, TypeError):
            if len(ended) > 1:
                for each in ended:
                    self.attempt("failed_calls", partial(self.record, [each]))
            elif ended[0].error != UNKEPT:
                self.finish([replace(ended[0], reference=None, result=None, error=UNKEPT)])


def _send(row: LeasedCommand, integration: SealedIntegration | None) -> CommandResult:
    try:
        return _describe(row, _open(integration).send(_make_command(row)))
    except Problem as problem:
        if problem.is_final:
            return CommandResult(row["id"], row["lease_token"], "failed", problem.detail, code=problem.code)
        pause = BACKOFF.pause(row["attempts"])
        hold = _find_hold(problem, pause)
        return CommandResult(
            row["id"],
            row["lease_token"],
            "retry",
            problem.detail,
            max(pause, hold or 0),
            code=problem.code,
            hold_seconds=hold,
        )
    except Exception:  # noqa: BLE001 - a defect is told to whoever sent the command, and is not tried again
        get_log().exception("a command could not be sent", command=row["id"])
        words = "It could not be sent; the log has the details."
        return CommandResult(row["id"], row["lease_token"], "failed", words, code=Problem.code)


def _find_hold(problem: Problem, pause: float) -> float | None:
    """Rate limits and keys are of accounts, and who is unavailable is so for all: the next would be told the same."""
    if isinstance(problem, CredentialsRefused):
        return pause
    if not isinstance(problem, ProviderRefused) or problem.answered not in HELD:
        return None
    return min(pause if problem.retry_after is None else problem.retry_after, BACKOFF.longest)


def _describe(row: LeasedCommand, outcome: Outcome) -> CommandResult:
    status: Literal["confirmed", "sent"] = "confirmed" if outcome.confirmed else "sent"
    result, unkept = _keep_result(outcome.result)
    reference = outcome.reference and replace_nul(outcome.reference[:REFERENCE_LIMIT])
    return CommandResult(row["id"], row["lease_token"], status, unkept, reference=reference, result=result)


def _keep_result(result: object) -> tuple[object, str | None]:
    """A device's answer as the database can hold it, or why it can't. Whatever it is, the command has been sent."""
    try:
        body = write_json(result)
    except TypeError:
        return None, UNKEPT
    if len(body) > RESULT_LIMIT:
        return None, f"The device's answer of {len(body)} bytes is too large to be kept."
    return replace_nul(read_json(body)), None


def _open(integration: SealedIntegration | None) -> Commander:
    if integration is None:
        raise NotSupported("The integration of this device was deleted, or its config can't be read.")
    return require(open_provider(integration), Commander)


def _make_command(row: LeasedCommand) -> Command:
    expires_at = datetime.fromisoformat(row["expires_at"])
    names = Item(row).texts("codec_names")
    return Command(row["id"], row["device"], row["name"], row["payload"], expires_at, names)
