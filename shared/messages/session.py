"""Driving one leased integration: its provider's session, each batch committed before it is acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from shared.integrations.sealing import open_provider
from shared.messages.committer import Committer, LeasedSession
from shared.provider import Batch, Part, Poller, Provider, SharedPoller
from shared.runtime.database.client import Database
from shared.runtime.database.leases import require_state
from shared.runtime.deadline import Deadline
from shared.runtime.errors import InvalidConfig, LeaseLost, NotFound, Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import bind_log, clear_log, get_log


def run_session(row: LeasedSession, database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Run the session of a row of `lease_sessions` and finish its lease, whatever happens.

    The counts are those of `ingest_messages` plus `sessions`, `failed_sessions` and `parked`. Nothing raises:
    what goes wrong is written to the integration for its admin, or logged when the database is away.
    """
    clear_log()
    bind_log(integration=row["id"], organization=row["organization_id"])
    committer = Committer(database, row, deadline)
    counts = committer.counts
    try:
        provider = _open_or_explain(row)
        if not isinstance(provider, Poller) or not provider.is_polled:
            database.call("park_session", p_integration_id=row["id"], p_lease_token=row["lease_token"])
            return Counter(parked=1)
        is_cut = _drive(provider, row, committer, pulse)
        committer.finish(None, 0.0 if is_cut else provider.poll_interval_seconds)
        counts["sessions"] += 1
    except (LeaseLost, NotFound):
        # Changed, deactivated or deleted meanwhile, or taken over: whoever did that has the say now.
        counts["lost_leases"] += 1
    except Problem as problem:
        counts["failed_sessions"] += 1
        _explain_failure(committer, problem)
    except Exception:  # noqa: BLE001 - one integration's defect must not end the others' tick
        get_log().exception("session failed")
        counts["failed_sessions"] += 1
        _explain_failure(committer, Problem("The session failed on our side; the log has the details."))
    return counts


def _open_or_explain(row: LeasedSession) -> Provider:
    try:
        return open_provider(row)
    except InvalidConfig as invalid:
        words = "The stored config is not valid, so nothing was connected:"
        raise InvalidConfig(invalid.explain(words)) from None


def _drive(provider: Poller, row: LeasedSession, committer: Committer, pulse: Pulse) -> bool:
    """Whether the session was cut off with more to do."""
    is_cut = False
    session = _begin(provider, row, committer.deadline)
    committer.tell_queued = pulse.tell_queued
    try:
        with pulse.busy():
            batch = next(session, None)
        while batch is not None:
            if batch.messages:
                pulse.beat()
            committer.take(batch)
            is_cut = batch.more
            batch = next(session, None)
        committer.wait()
        return is_cut
    finally:
        try:
            session.close()  # type: ignore[attr-defined]
        finally:
            committer.close()


def _begin(provider: Poller, row: LeasedSession, deadline: Deadline) -> Iterator[Batch]:
    state = require_state(row["state"])
    if isinstance(provider, SharedPoller):
        return provider.session_part(Part(row["slot"], row["slots"]), state, deadline)
    return provider.session(state, deadline)


def _explain_failure(committer: Committer, problem: Problem) -> None:
    get_log().warning("session failed", code=problem.code, detail=problem.detail)
    try:
        committer.finish(problem)
        committer.explain(problem)
    except (LeaseLost, NotFound):
        return
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being told, the lease runs out by itself
        get_log().warning("the failure could not be recorded; the lease runs out by itself", error=str(error))
