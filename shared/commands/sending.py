"""Sending commands to devices: leased, sent side by side, tried again with backoff until they expire, recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal, TypedDict

from shared.integrations.sealing import SealedIntegration, open_provider
from shared.provider import Command, Commander, Outcome, require
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, NotSupported, Problem
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.idle_watch import Pulse
from shared.runtime.lease_loop import LeaseLoop
from shared.runtime.log import get_log

AT_ONCE = 128
"""No more than 16 of them of one integration: `lease_commands` sees to it."""

LEASE_SECONDS = 60
BACKOFF = Backoff(5.0, 300.0)
RESULT_LIMIT = 65_536
"""Bytes of a device's answer that are kept."""

UNKEPT = "What came back can't be kept."


class LeasedCommand(TypedDict):
    """A command as `lease_commands` answers it; `device` is its external id."""

    id: str
    lease_token: str
    integration_id: str
    attempts: int
    name: str
    payload: object
    expires_at: str
    device: str


class CommandLeases(TypedDict):
    """What `lease_commands` answers: commands, and by id the integrations of those that still have one."""

    integrations: dict[str, SealedIntegration]
    commands: list[LeasedCommand]


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

    def __init__(self, database: Database, deadline: Deadline, pulse: Pulse) -> None:
        super().__init__(database, deadline, AT_ONCE)
        self._pulse = pulse

    def lease(self, room: int) -> list[Sendable]:
        leased: CommandLeases = self.database.call(
            "lease_commands", p_limit=room, p_lease_seconds=LEASE_SECONDS
        )
        integrations = leased["integrations"]
        return [(row, integrations.get(row["integration_id"])) for row in leased["commands"]]

    def work(self, row: Sendable) -> CommandResult:
        with self._pulse.busy():
            return _send(*row)

    def finish(self, ended: list[CommandResult]) -> None:
        """Record them together; one that has what JSON or the database can't hold, alone and without what came back.

        What is not recorded is sent again once its lease has run out: at least once, like everything that goes out.
        """
        try:
            self.counts.update(self.database.call("finish_commands", p_results=ended))
        except (BadRequest, TypeError):
            if len(ended) > 1:
                for each in ended:
                    self.attempt("failed_calls", partial(self.finish, [each]))
            elif ended[0].error != UNKEPT:
                self.finish([replace(ended[0], reference=None, result=None, error=UNKEPT)])


def _send(row: LeasedCommand, integration: SealedIntegration | None) -> CommandResult:
    try:
        return _describe(row, _open(integration).send(_make_command(row)))
    except Problem as problem:
        if problem.is_final:
            return CommandResult(row["id"], row["lease_token"], "failed", problem.detail)
        pause = BACKOFF.pause(row["attempts"])
        return CommandResult(row["id"], row["lease_token"], "retry", problem.detail, pause)
    except Exception:  # noqa: BLE001 - a defect is told to whoever sent the command, and is not tried again
        get_log().exception("a command could not be sent", command=row["id"])
        words = "It could not be sent; the log has the details."
        return CommandResult(row["id"], row["lease_token"], "failed", words)


def _describe(row: LeasedCommand, outcome: Outcome) -> CommandResult:
    body = write_json(outcome.result)
    kept = len(body) <= RESULT_LIMIT
    return CommandResult(
        row["id"],
        row["lease_token"],
        "confirmed" if outcome.confirmed else "sent",
        None if kept else f"The device's answer of {len(body)} bytes is too large to be kept.",
        reference=outcome.reference,
        # Postgres has no text with NUL.
        result=read_json(body.replace(rb"\u0000", rb"\ufffd")) if kept else None,
    )


def _open(integration: SealedIntegration | None) -> Commander:
    if integration is None:
        raise NotSupported("The integration of this device was deleted, so there is no way to reach it.")
    return require(open_provider(integration), Commander)


def _make_command(row: LeasedCommand) -> Command:
    expires_at = datetime.fromisoformat(row["expires_at"])
    return Command(row["id"], row["device"], row["name"], row["payload"], expires_at)
