"""Running a codec over many bodies: in requests of a bounded size, past every body that breaks its child.

Where a child is lost, what it had not answered yet is given to a new one that answers each body by itself; so the body
that did it is known, and harms itself alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from shared.codecs.child import ChildKilledError, ChildLostError
from shared.codecs.children import Children, Slot, get_children
from shared.codecs.contract import SourceRefused
from shared.codecs.limits import KILLS, REQUEST_BYTES, REQUEST_ITEMS, REQUEST_SECONDS, STOPS
from shared.runtime.errors import Unavailable

Operation = Literal["check", "decode", "encode", "encode_event"]
Result = dict[str, Any]

TOO_LONG: Result = {"errors": ["The codec did not end in time, or used up its memory; it was stopped."]}
NOT_TRIED: Result = {"errors": [f"Not tried: the codec had to be stopped for {STOPS} bodies before."]}

TOO_SLOW: Result = {"errors": ["Not tried: the codec had used up the batch's time on the bodies before."]}


class Item(NamedTuple):
    """One thing to work on, as it is sent; `size` is its bytes."""

    content: list[Any]
    size: int


@dataclass(frozen=True)
class Program:
    """One organization's source of one kind."""

    organization_id: str
    kind: str
    source: str

    @property
    def engine(self) -> str:
        """Which children run it."""
        return "javascript" if self.kind == "javascript" else "formats"

    @property
    def keeps_state(self) -> bool:
        """Whether what it makes of a body depends on those before."""
        return self.kind == "sparkplug_b"

    @cached_property
    def key(self) -> str:
        """Its name among all sources of all organizations."""
        words = f"{self.organization_id}\0{self.kind}\0{self.source}"
        return hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()


@dataclass
class Run:
    """One call: its results so far, in the order of its items."""

    program: Program
    operation: Operation
    state: dict[str, Any]
    results: list[Result] = field(default_factory=list)
    stops: int = 0
    kills: int = 0
    was_killed: bool = False
    is_careful: bool = False
    seconds: float = REQUEST_SECONDS
    """For each request."""

    def work(self, items: Sequence[Item], children: Children | None = None) -> list[Result]:
        """A result for every item. SourceRefused where the source does not compile, Unavailable without a child."""
        children = children or get_children()
        is_alone = self.is_careful = len(items) == 1
        with children.borrow(self.program.organization_id, self.program.engine, self.program.key) as slot:
            for part in _cut(items):
                self._work_part(slot, part)
                if self.stops or (self.is_careful and not is_alone):
                    children.note_trouble(self.program.organization_id)
        return self.results

    def _work_part(self, slot: Slot, part: Sequence[Item]) -> None:
        ends, ends_at = len(self.results) + len(part), time.monotonic() + self.seconds
        while len(self.results) < ends and self.stops < STOPS and time.monotonic() < ends_at:
            begun = len(self.results)
            try:
                self._ask(slot, part[len(part) - (ends - begun) :], ends_at - time.monotonic())
            except ChildLostError as lost:
                slot.drop()
                self._forget_stateless(begun)
                self._count_kill() if isinstance(lost, ChildKilledError) else self._blame()
        left_out = ends - len(self.results)
        if left_out and self.was_killed and self.stops < STOPS:
            raise Unavailable("The processes of codecs are being killed; nothing was decoded.")
        self.results += [NOT_TRIED if self.stops == STOPS else TOO_SLOW] * left_out

    def _ask(self, slot: Slot, items: Sequence[Item], seconds: float) -> None:
        program = self.program
        most = len(self.results) + len(items)
        request = {
            "operation": self.operation,
            "items": [item.content for item in items],
            "careful": self.is_careful,
            "stops": STOPS - self.stops,
            "seconds": seconds,
            "state": self.state,
        }
        child = slot.take_child(program.engine)
        for answer in child.ask(program.key, {"kind": program.kind, "source": program.source}, request):
            self._take(answer, most)

    def _take(self, answer: dict[str, Any], most: int) -> None:
        refused = answer.get("refused")
        if refused:
            raise SourceRefused(**_read_refusal(refused))
        results = answer.get("results")
        if (
            not isinstance(results, list)
            or len(self.results) + len(results) > most
            or not all(isinstance(one, dict) for one in results)
        ):
            raise ChildLostError("The child's results are none.")
        self.results += results
        self.kills = 0 if results else self.kills
        self.stops += sum("stopped" in one for one in results)
        state = answer.get("state")
        if isinstance(state, dict):
            self.state = state

    def _forget_stateless(self, begun: int) -> None:
        """Results whose state was lost with the child count no longer; answered by itself, each brings its own."""
        if self.program.keeps_state and not self.is_careful:
            self.stops -= sum("stopped" in one for one in self.results[begun:])
            del self.results[begun:]

    def _count_kill(self) -> None:
        """Who was killed is asked again, as before; where that goes on and on without a result, a body does it."""
        self.kills, self.was_killed = self.kills + 1, True
        if self.kills > KILLS:
            self._blame()

    def _blame(self) -> None:
        """The first without a result broke the child, if each was answered by itself; else that is to be seen."""
        if self.is_careful:
            self.results.append(TOO_LONG)
            self.stops, self.kills = self.stops + 1, 0
        self.is_careful = True


def _cut(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    begin = size = 0
    for at, item in enumerate(items):
        size += item.size
        if at > begin and (size > REQUEST_BYTES or at - begin == REQUEST_ITEMS):
            yield items[begin:at]
            begin, size = at, item.size
    yield items[begin:]


def _read_refusal(refused: Any) -> dict[str, Any]:
    told = refused if isinstance(refused, dict) else {}
    line, column = told.get("line"), told.get("column")
    place = {"line": line, "column": column} if isinstance(line, int) and isinstance(column, int) else {}
    return {"reason": str(told.get("reason"))[:500], **place}
