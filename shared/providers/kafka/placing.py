"""Which partitions are read and from where on: found at the beginning of a session, looked for again while it lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from shared.provider import CredentialsRefused, OutsideError, ProviderRefused
from shared.providers.kafka.cluster import Cluster, Listing, PartitionPlace
from shared.providers.kafka.failures import explain_code
from shared.providers.kafka.fetching import Partition, find_offsets
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.saved_state import Memory
from shared.providers.kafka.topics import find_match, is_pattern, match_topic

MOST_PARTITIONS = 500
MOST_GONE = 1_000
NOT_AUTHORIZED = 29
GAP = "broker.overflowed"
"""The kind of the alert."""


class ClusterChanged(OutsideError):  # noqa: N818 - as in shared.provider
    """Another cluster answers than before."""


class Places:
    """The partitions of what the config names. `partitions` are those that are read."""

    def __init__(self, plan: ReadPlan, memory: Memory, cluster: Cluster) -> None:
        self.partitions: list[Partition] = []
        self._plan = plan
        self._memory = memory
        self._cluster = cluster
        self._before = memory.topics
        self._wanted = None if any(map(is_pattern, plan.topics)) else plan.topics

    def look(self) -> None:
        """Find the partitions there are and who leads them; place those that are new. Errors: OutsideError."""
        listing = self._cluster.run(self._cluster.list_partitions(self._wanted))
        if self.partitions and self._cluster.id != self._memory.cluster:
            raise ClusterChanged(
                "Another cluster answers than when the session began; the next one begins with it."
            )
        self._memory.meet_cluster(self._cluster.id)
        self._judge(listing)
        found = [each for each in listing.partitions if find_match(self._plan.topics, each.topic)]
        if len(found) > MOST_PARTITIONS:
            raise ProviderRefused(
                f"The topics have {len(found):,} partitions, and one integration reads {MOST_PARTITIONS} at most: name "
                "fewer topics here, and the others in another integration.",
                answered=503,
            )
        known = {(each.topic, each.number): each for each in self.partitions}
        for place in found:
            if partition := known.get((place.topic, place.number)):
                partition.leader = place.leader
        self._place([each for each in found if (each.topic, each.number) not in known])
        there = {(each.topic, each.number) for each in found}
        self.partitions = [each for each in self.partitions if (each.topic, each.number) in there]
        self._forget_gone(there)

    def replace(self, partition: Partition) -> None:
        """Its position is none: retention has passed it, or the topic was made anew. Go on where there is something."""
        place = (partition.topic, partition.number)
        offsets = find_offsets(self._cluster, [(*place, partition.leader)])
        if place in offsets:
            partition.position = self._correct(place, partition.position, *offsets[place])
            partition.end = offsets[place][1]
            partition.prefix = self._name_prefix(*place)

    def save_offsets(self) -> dict[str, dict[str, int]]:
        """Where each is read on from; of those that can't be asked for just now, where they were."""
        offsets: dict[str, dict[str, int]] = {}
        for topic, places in self._memory.offsets.items():
            if find_match(self._plan.topics, topic):
                offsets[topic] = dict(places)
        for each in self.partitions:
            offsets.setdefault(each.topic, {})[str(each.number)] = each.position
        return offsets

    def _forget_gone(self, there: Set[tuple[str, int]]) -> None:
        """Of what is not there any more so much is remembered and no more; what comes again then is read whole."""
        offsets = self._memory.offsets
        gone = [
            (topic, number)
            for topic, places in offsets.items()
            for number in places
            if (topic, int(number)) not in there
        ]
        for topic, number in gone[MOST_GONE:]:
            del offsets[topic][number]
            if not offsets[topic]:
                del offsets[topic]

    def _place(self, new: list[PartitionPlace]) -> None:
        if not new:
            return
        offsets = find_offsets(self._cluster, new)
        for topic, number, leader in new:
            if (topic, number) not in offsets:
                continue
            begin, end = offsets[topic, number]
            position = self._choose(topic, number, begin, end)
            self.partitions.append(
                Partition(
                    *(topic, number, leader, position, end, self._name_device(topic)),
                    self._name_prefix(topic, number),
                )
            )
        self._memory.changed = True

    def _choose(self, topic: str, number: int, begin: int, end: int) -> int:
        saved = self._memory.find_offset(topic, number)
        if saved is not None:
            return self._correct((topic, number), saved, begin, end)
        # What was not there before, a partition or a topic that a pattern finds, is read whole.
        is_new = topic in self._memory.offsets or find_match(self._before, topic) is not None
        return begin if is_new or self._plan.from_beginning else end

    def _correct(self, place: tuple[str, int], position: int, begin: int, end: int) -> int:
        topic, number = place
        if position < begin:
            self._memory.note(
                "warning",
                f"The records {position:,} to {begin - 1:,} of partition {number} of {topic} were deleted there before "
                "they were read: what a topic keeps (retention) is less than what comes while nobody reads.",
                GAP,
            )
            return begin
        if position > end:
            name = f"{topic}:{number}"
            self._memory.made_anew[name] = self._memory.made_anew.get(name, 0) + 1
            self._memory.note(
                "warning",
                f"The topic {topic} was made anew, or has lost its last records: partition {number} ends at {end:,} "
                f"and was read up to {position:,}. It is read from its beginning, as what it is now.",
                GAP,
            )
            return begin
        return position

    def _name_device(self, topic: str) -> str | None:
        pattern = find_match(self._plan.topics, topic)
        return (match_topic(pattern, topic) or None) if pattern else None

    def _name_prefix(self, topic: str, number: int) -> str:
        """Event ids are `{cluster}:{topic}:{partition}:{offset}`, with ~1 after one that was made anew once."""
        times = self._memory.made_anew.get(f"{topic}:{number}")
        named = f"{number}~{times}" if times else str(number)
        return ":".join((*filter(None, (self._cluster.id,)), topic, named, ""))

    def _judge(self, listing: Listing) -> None:
        """Tell of topics that are named and not there, or may not be read; where that is all of them, raise it."""
        refused = {
            topic: code for topic, code in listing.refused.items() if find_match(self._plan.topics, topic)
        }
        for topic, code in [*refused.items()][:MOST_PARTITIONS]:
            words = explain_code(code).detail
            self._memory.tell_once(f"topic:{topic}", f"The topic {topic} can't be read: {words}")
        names = Counter(each.topic for each in listing.partitions)
        for topic in names:
            self._memory.forget_told(f"topic:{topic}")
        if refused and not names:
            make = CredentialsRefused if NOT_AUTHORIZED in refused.values() else ProviderRefused
            topic, code = next(iter(refused.items()))
            raise make(f"The topic {topic} can't be read: {explain_code(code).detail}")
