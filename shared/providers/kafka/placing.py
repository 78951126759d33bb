"""Which partitions are read and from where on: found at the beginning of a session, looked for again while it lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from shared.provider import CredentialsRefused, OutsideError, ProviderRefused
from shared.providers.kafka.cluster import Cluster, Listing, PartitionPlace
from shared.providers.kafka.failures import explain_code
from shared.providers.kafka.fetching import Partition
from shared.providers.kafka.offsets import find_offsets, find_times
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.saved_state import Memory, Place, SavedPlace
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
        self._before, self._known = memory.topics, frozenset(memory.parts)
        self._wanted = None if any(map(is_pattern, plan.topics)) else plan.topics

    def look(self) -> None:
        """Find the partitions there are and who leads them; place those that are new. Errors: OutsideError."""
        listing = self._cluster.run(self._cluster.list_partitions(self._wanted))
        if self.partitions and self._cluster.id != self._memory.cluster:
            raise ClusterChanged(
                "Another cluster answers than when the session began; the next one begins with it."
            )
        self._memory.meet_cluster(self._cluster.id, tells=self._plan.part.number == 0)
        self._judge(listing)
        found = [each for each in listing.partitions if self._is_ours(each.topic, each.number)]
        if len(found) > MOST_PARTITIONS * (self._plan.sessions if self._plan.is_to_place else 1):
            raise ProviderRefused(
                f"The topics have {len(found):,} partitions, and one session reads {MOST_PARTITIONS} at most: raise "
                "parallel_sessions, or name fewer topics here, and the others in another integration.",
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
        self._before = self._plan.topics

    def replace(self, partition: Partition) -> None:
        """Its position is none: retention has passed it, or the topic was made anew. Go on where there is something."""
        place = (partition.topic, partition.number)
        offsets = find_offsets(self._cluster, [(*place, partition.leader)])
        if place in offsets:
            known = Place(partition.position, partition.stamp, partition.made_anew)
            self._put(partition, self._correct(place, known, *offsets[place]), offsets[place])
            partition.is_unsure = False

    def renew(self, partition: Partition) -> None:
        """It is another than before, though it is longer than what was read of that: read it from its beginning."""
        place = (partition.topic, partition.number)
        offsets = find_offsets(self._cluster, [(*place, partition.leader)])
        if place in offsets:
            known = Place(partition.position, None, partition.made_anew)
            self._put(partition, self._begin_anew(place, known, *offsets[place]), offsets[place])

    def save_parts(self) -> dict[str, dict[str, SavedPlace]]:
        """Where each is read on from; of those that can't be asked for just now, where they were."""
        parts: dict[str, dict[str, SavedPlace]] = {}
        for topic, places in self._memory.parts.items():
            if find_match(self._plan.topics, topic):
                parts[topic] = dict(places)
        for each in self.partitions:
            place = Place(each.position, each.stamp, each.made_anew)
            parts.setdefault(each.topic, {})[str(each.number)] = place.save()
        return parts

    def _is_ours(self, topic: str, number: int) -> bool:
        return find_match(self._plan.topics, topic) is not None and self._plan.part.has(topic, number)

    def _put(self, partition: Partition, place: Place, offsets: tuple[int, int]) -> None:
        partition.position, partition.stamp, partition.made_anew = place
        partition.is_unsure = place.stamp is not None and offsets[0] < place.offset
        partition.end = offsets[1]
        partition.prefix = self._name_prefix(partition.topic, partition.number, place.made_anew)

    def _forget_gone(self, there: Set[tuple[str, int]]) -> None:
        """Of what is not there any more so much is remembered and no more; what comes again then is read whole."""
        offsets = self._memory.parts
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
        for each in new:
            topic, number, leader = each
            if (topic, number) not in offsets:
                self._remember(topic, number)
                continue
            place = self._choose(each, *offsets[topic, number])
            partition = Partition(topic, number, leader, place.offset, device=self._name_device(topic))
            self._put(partition, place, offsets[topic, number])
            self.partitions.append(partition)
        self._memory.changed = True

    def _choose(self, where: PartitionPlace, begin: int, end: int) -> Place:
        topic, number, _ = where
        saved = self._memory.find_place(topic, number)
        if saved is not None:
            return self._correct((topic, number), saved, begin, end)
        if self._memory.was_there(topic, number):
            # Nobody led it when the first session began: it is read from what came since, as all the rest is.
            since = find_times(self._cluster, [where], self._memory.begun).get((topic, number), end)
            return Place(max(begin, since))
        return Place(begin if self._is_read_whole(topic) else end)

    def _is_read_whole(self, topic: str) -> bool:
        # What was not there before, a partition or a topic that a pattern finds.
        is_new = topic in self._known or find_match(self._before, topic) is not None
        return is_new or self._plan.from_beginning

    def _remember(self, topic: str, number: int) -> None:
        """What can't be asked for just now and is not to be read whole was there from the beginning on."""
        if not self._memory.was_there(topic, number) and not self._is_read_whole(topic):
            self._memory.parts.setdefault(topic, {})[str(number)] = None

    def _correct(self, place: tuple[str, int], known: Place, begin: int, end: int) -> Place:
        topic, number = place
        position = known.offset
        if position < begin:
            self._memory.note(
                "warning",
                f"The records {position:,} to {begin - 1:,} of partition {number} of {topic} were deleted there before "
                "they were read: what a topic keeps (retention) is less than what comes while nobody reads.",
                GAP,
            )
            return Place(begin, None, known.made_anew)
        return self._begin_anew(place, known, begin, end) if position > end else known

    def _begin_anew(self, place: tuple[str, int], known: Place, begin: int, end: int) -> Place:
        topic, number = place
        self._memory.note(
            "warning",
            f"The topic {topic} was made anew, or has lost its last records: partition {number} ends at {end:,} "
            f"and was read up to {known.offset:,}. It is read from its beginning, as what it is now.",
            GAP,
        )
        return Place(begin, None, known.made_anew + 1)

    def _name_device(self, topic: str) -> str | None:
        pattern = find_match(self._plan.topics, topic)
        return (match_topic(pattern, topic) or None) if pattern else None

    def _name_prefix(self, topic: str, number: int, times: int) -> str:
        """Event ids are `{cluster}:{topic}:{partition}:{offset}`, with ~1 after one that was made anew once."""
        named = f"{number}~{times}" if times else str(number)
        return ":".join((*filter(None, (self._cluster.id,)), topic, named, ""))

    def _judge(self, listing: Listing) -> None:
        """Tell of topics that are named and not there, or may not be read; where that is all of them, raise it."""
        refused = {
            topic: code for topic, code in listing.refused.items() if find_match(self._plan.topics, topic)
        }
        # Of several sessions the first tells it.
        for topic, code in [*refused.items()][: 0 if self._plan.part.number else MOST_PARTITIONS]:
            words = explain_code(code).detail
            self._memory.tell_once(f"topic:{topic}", f"The topic {topic} can't be read: {words}")
        names = Counter(each.topic for each in listing.partitions)
        for topic in names:
            self._memory.forget_told(f"topic:{topic}")
        if refused and not names:
            make = CredentialsRefused if NOT_AUTHORIZED in refused.values() else ProviderRefused
            topic, code = next(iter(refused.items()))
            raise make(f"The topic {topic} can't be read: {explain_code(code).detail}")
