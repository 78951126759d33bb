"""A sync of devices, in three phases, each page of which is one transaction and a saved step.

`compare`: page after page of the provider's devices is matched with those here and brought in step; what only changed
here is told to the provider. `create`: devices that only are here are created there. `missing`: devices that the
listing did not show are asked for one by one, and marked where they are gone. Doing a step twice does no harm.

A listing whose pages lead in a circle ends the sync there: who was not seen by then is not taken for gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from shared.jobs.job import Again, Done, Failed, Job, JobOutcome
from shared.jobs.kinds.sync.rows import Change, Link, Push, SyncedRow, UnlinkedRow
from shared.provider import DeviceChange, Direction, Directory, NewDevice, Policy, RemoteDevice
from shared.runtime.errors import ProviderRefused
from shared.runtime.page_trail import CIRCLE, Trail, follow_cursor

PAGE_ROWS = 100
MOST_CHANGES = 200
"""Changes that a report names; its counts are of all."""

ANY_NUMBER = 1_000_000_000
FIRST = str(UUID(int=0))
END = "end"


@dataclass(frozen=True, slots=True)
class Rules:
    """By what rules devices are brought in step, in the shape `sync_devices` takes."""

    direction: Direction
    conflicts: Policy
    create_missing: bool
    update_existing: bool
    limit: int | None
    online_minutes: int
    dry_run: bool

    @property
    def phases(self) -> tuple[str, ...]:
        """What there is to do, in order."""
        create = ("create",) if self.direction != "import" and self.create_missing else ()
        missing = ("missing",) if self.direction != "export" and self.update_existing else ()
        return ("compare", *create, *missing, END)


class Sync:
    """One run over one directory."""

    def __init__(self, job: Job[Any], directory: Directory, rules: Rules) -> None:
        self._job = job
        self._directory = directory
        self._rules = rules
        self._counts = Counter[str](job.state.get("counts", {}))
        self._changes: list[dict[str, object]] = list(job.state.get("changes", []))
        self._trail: Trail | None = job.state.get("trail")

    def run(self) -> JobOutcome:
        """All pages of all phases; Again at the deadline."""
        steps = {"compare": self._compare, "create": self._create, "missing": self._find_missing}
        phase, cursor = self._job.state.get("phase", "compare"), self._job.state.get("cursor")
        # A phase that the config has done away with meanwhile is over.
        while phase != END and phase in self._rules.phases:
            if self._job.deadline.expired:
                return Again()
            cursor = steps[phase](cursor)
            if phase == "compare" and cursor is not None:
                self._trail = follow_cursor(self._trail, cursor)
                if self._trail is None:
                    return self._break_off()
            if cursor is None:
                phase = self._rules.phases[self._rules.phases.index(phase) + 1]
            self._save(phase, cursor)
        return self._finish()

    def _compare(self, cursor: str | None) -> str | None:
        page = self._directory.list_page(cursor)
        self._counts["seen"] += len(page.devices)
        if page.devices:
            done: list[SyncedRow] = self._call(
                "sync_devices", p_devices=page.devices, p_options=self._options()
            )
            for each in done:
                self._note(each["action"], each)
            self._export(done)
        return page.next_cursor

    def _create(self, cursor: str | None) -> str | None:
        limit, claim = min(PAGE_ROWS, self._count_room()), not self._rules.dry_run
        rows: list[UnlinkedRow] = self._call(
            "list_unlinked", p_after=cursor or FIRST, p_limit=limit, p_claim=claim
        )
        links: list[Link] = []
        try:
            for row in rows:
                remote = self._create_one(row)
                links.append({"device_id": row["device_id"], "remote": remote})
        finally:
            # What is created there is linked, whatever ended the page.
            self._link(links)
        return rows[-1]["device_id"] if rows else None

    def _create_one(self, row: UnlinkedRow) -> RemoteDevice | None:
        wanted = NewDevice(row["name"], tuple(row["hardware_ids"]), tuple(row["tags"]))
        found = self._directory.get(row["external_id"]) or self._directory.find(wanted)
        change: Change = {"device_id": row["device_id"], "name": row["name"]}
        try:
            remote = self._complete(found, wanted) if found else self._make(wanted)
        except ProviderRefused as refusal:
            self._refuse(refusal, change)
            return None
        if not found:
            self._note("created_there", change)
        return remote

    def _make(self, wanted: NewDevice) -> RemoteDevice | None:
        """Created, and deleted again where the rest is refused for good; nothing in a dry run."""
        if self._rules.dry_run:
            return None
        made = self._directory.create(wanted)
        try:
            return self._directory.settle(made.id, wanted) or made
        except ProviderRefused as refusal:
            if refusal.is_final:
                self._directory.delete(made.id)
            raise

    def _complete(self, found: RemoteDevice, wanted: NewDevice) -> RemoteDevice:
        # Without name and tags it is what a creation that was cut off has left; of another nothing is overwritten.
        if self._rules.dry_run or found.name != found.id or found.tags:
            return found
        return self._directory.settle(found.id, wanted) or found

    def _link(self, links: list[Link]) -> None:
        if not links or (self._rules.dry_run and not any(link["remote"] for link in links)):
            return
        done: list[SyncedRow] = self._call("link_devices", p_links=links, p_options=self._options())
        remotes = {link["device_id"]: link["remote"] for link in links}
        for each in done:
            remote = remotes[each["device_id"]]
            if remote and not each["linked"]:
                reason = f"{remote.name} there is another device of ours already."
                change: Change = {"device_id": each["device_id"], "name": remote.name, "remote_id": remote.id}
                self._note("refused", {**change, "error": reason})
        self._export(done)

    def _find_missing(self, cursor: str | None) -> str | None:
        rows: list[Change] = self._call("list_unsighted", p_after=cursor or FIRST, p_limit=PAGE_ROWS)
        found = [(row, self._look_for(row["remote_id"])) for row in rows]
        marks = [{"device_id": row["device_id"], "status": status} for row, status in found if status]
        for row, status in found:
            if status:
                self._note(status, row)
        if marks and not self._rules.dry_run:
            self._call("mark_devices", p_devices=marks)
        return rows[-1]["device_id"] if rows else None

    def _look_for(self, remote_id: str) -> str | None:
        if self._directory.get(remote_id) is None:
            return "missing"
        return "out_of_scope" if self._directory.narrowed else None

    def _export(self, done: Iterable[SyncedRow]) -> None:
        """Tell the provider what only changed here."""
        exported = []
        for push in (each["push"] for each in done if "push" in each):
            told: Change = {
                "device_id": push["device_id"],
                "remote_id": push["remote_id"],
                "values": push["values"],
            }
            try:
                self._update(push)
            except ProviderRefused as refusal:
                self._refuse(refusal, told)
            else:
                self._note("exported", told)
                exported.append({"device_id": push["device_id"], "values": push["values"]})
        if exported and not self._rules.dry_run:
            self._call("confirm_exports", p_exports=exported)

    def _update(self, push: Push) -> None:
        if self._rules.dry_run:
            return
        add, remove = tuple(push.get("add_tags", ())), tuple(push.get("remove_tags", ()))
        self._directory.update(push["remote_id"], DeviceChange(push["values"].get("name"), add, remove))

    def _refuse(self, refusal: ProviderRefused, change: Change) -> None:
        """One device that the provider does not take stops no other; anything that passes does."""
        if not refusal.is_final:
            raise refusal
        self._note("refused", {**change, "error": refusal.detail})

    def _note(self, action: str, change: Change) -> None:
        self._counts[action] += 1
        self._counts["conflicts"] += "conflict" in change
        quiet = action in {"unchanged", "skipped", "over_limit"} and "conflict" not in change
        if not quiet and len(self._changes) < MOST_CHANGES:
            told = {name: value for name, value in change.items() if name in Change.__annotations__}
            self._changes.append(told | {"action": action})

    def _options(self) -> dict[str, object]:
        return {**asdict(self._rules), "room": self._count_room()}

    def _count_room(self) -> int:
        made = self._counts["created"] + self._counts["created_there"]
        return max(0, (self._rules.limit or ANY_NUMBER) - made)

    def _call(self, function: str, **arguments: Any) -> Any:
        return self._job.database.call(function, **self._job.lease, **arguments)

    def _save(self, phase: str, cursor: str | None) -> None:
        counts = dict(+self._counts)
        state = {
            "phase": phase,
            "cursor": cursor,
            "counts": counts,
            "changes": self._changes,
            "trail": self._trail,
        }
        self._job.save(state, {"phase": phase, **counts})

    def _break_off(self) -> Failed:
        words = (
            f"The list of devices can't be read to its end: {CIRCLE}. Who is not on the pages that were read"
            " is left as it is; the next sync begins anew."
        )
        return Failed(words, self._report())

    def _finish(self) -> Done:
        conflicts = self._counts["conflicts"]
        if conflicts and not self._rules.dry_run:
            message = f"Devices changed on both sides since they were last in step: {conflicts}."
            self._job.database.call(
                "record_activity",
                p_integration_id=self._job.row["integration"]["id"],
                p_kind="sync.conflicts",
                p_notes=[{"level": "warning", "message": message}],
            )
        return Done(self._report())

    def _report(self) -> dict[str, object]:
        told: dict[str, object] = {"dry_run": self._rules.dry_run, "direction": self._rules.direction}
        return told | {"counts": dict(+self._counts), "changes": self._changes}
