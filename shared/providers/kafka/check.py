"""Check: the connection test, step by step, over connections of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka.protocol.fetch import FetchRequest

from shared.provider import (
    Check,
    CredentialsRefused,
    Deadline,
    OutsideError,
    ProviderRefused,
    explain_host,
    run_checks,
)
from shared.providers.kafka.cluster import Cluster, Listing
from shared.providers.kafka.failures import explain_code
from shared.providers.kafka.fetching import COMMITTED, Partition, read_answer
from shared.providers.kafka.offsets import find_offsets
from shared.providers.kafka.records import Record, read_batches
from shared.providers.kafka.topics import find_match, is_pattern

if TYPE_CHECKING:
    from shared.providers.kafka import Kafka

CHECK_SECONDS = 9.0
MOST_LOOKED_AT = 20
"""Partitions in which a first record is looked for, and brokers that are connected to."""

RECORD_BYTES = 65_536
"""Asked for, of which no more than a few are looked at."""


def check_cluster(kafka: Kafka) -> Iterator[Check]:
    """Each step's name says what it is about; a failed one is the last. Within `CHECK_SECONDS` in all."""
    deadline = Deadline(CHECK_SECONDS)
    with Cluster(kafka.cluster_plan) as cluster:
        yield from run_checks(_Steps(kafka, cluster, deadline).list())


class _Steps:
    def __init__(self, kafka: Kafka, cluster: Cluster, deadline: Deadline) -> None:
        self._kafka = kafka
        self._cluster = cluster
        self._deadline = deadline
        self._listing = Listing([], {})

    def list(self) -> Iterator[tuple[str, Callable[[], str]]]:
        servers = self._kafka.cluster_plan.servers
        for number, (host, port) in enumerate(servers, 1):
            which = f" {number}" if len(servers) > 1 else ""
            yield f"address{which}", partial(explain_host, host, port, self._deadline)
            yield f"login{which}", partial(self._log_in, host, port)
        yield "cluster", self._list_brokers
        yield "brokers", self._reach_brokers
        yield "topics", self._find_topics
        if self._kafka.schema_registry_url:
            yield "registry", self._ask_registry
        if self._kafka.topics:
            yield "record", self._find_record

    def _log_in(self, host: str, port: int) -> str:
        connection = self._run(self._cluster.connect(host, port))
        connection.close()
        plan = self._kafka.cluster_plan
        tls = "with TLS" if plan.tls else "without TLS"
        return f"{host} answers on port {port} {tls}" + (
            f"; logged in by {plan.sasl.mechanism}." if plan.sasl else "."
        )

    def _list_brokers(self) -> str:
        named = self._kafka.topics or (self._kafka.events_topic or "",)
        wanted = None if any(map(is_pattern, named)) else named
        self._listing = self._run(self._cluster.list_partitions(wanted))
        return f"The cluster {self._cluster.id or 'without a name'} has {len(self._cluster.brokers)} brokers."

    def _reach_brokers(self) -> str:
        """Each that leads something: they are where the cluster says, which need not be where an admin thinks."""
        leaders = sorted({place.leader for place in self._listing.partitions if place.leader >= 0})
        for node in leaders[:MOST_LOOKED_AT]:
            host, port = self._cluster.brokers.get(node, ("", 0))
            try:
                self._run(self._cluster.connect(host, port)).close()
            except OutsideError as problem:
                raise type(problem)(
                    f"The cluster says that broker {node} is at {host}:{port}. {problem.detail}"
                ) from None
        return f"{len(leaders)} of them lead what is wanted, and answer."

    def _find_topics(self) -> str:
        named = self._kafka.topics or (self._kafka.events_topic or "",)
        refused = {topic: code for topic, code in self._listing.refused.items() if find_match(named, topic)}
        for topic, code in refused.items():
            make = CredentialsRefused if code == 29 else ProviderRefused  # noqa: PLR2004 - as Kafka has it
            raise make(f"{topic}: {explain_code(code).detail}")
        found = {place.topic for place in self._listing.partitions if find_match(named, place.topic)}
        if not found:
            raise ProviderRefused("The cluster has no topic of these names, or shows none to this login.")
        shown = ", ".join(sorted(found)[:5]) + (" …" if len(found) > 5 else "")  # noqa: PLR2004 - as many are read
        return f"{len(found)} topics: {shown}."

    def _ask_registry(self) -> str:
        from shared.providers.kafka.registry import Registry

        access = self._kafka.registry_access
        assert access is not None  # noqa: S101 - with a URL there is one
        return Registry(access).check()

    def _find_record(self) -> str:
        """What the first record that is kept is taken for, in a partition that has some; it is not stored."""
        named = self._kafka.topics or ()
        places = [each for each in self._listing.partitions if find_match(named, each.topic)][:MOST_LOOKED_AT]
        offsets = find_offsets(self._cluster, places, max(0.1, self._deadline.remaining()))
        for topic, number, leader in places:
            begin, end = offsets.get((topic, number), (0, 0))
            if end > begin:
                return self._describe(Partition(topic, number, leader, end - 1, end))
        return "No topic has any record yet."

    def _describe(self, partition: Partition) -> str:
        request = FetchRequest(
            *(500, 1, RECORD_BYTES, COMMITTED),
            [(partition.topic, [(partition.number, partition.position, RECORD_BYTES)])],
            "",
        )
        known = {(partition.topic, partition.number): partition}
        for each in self._run(
            self._cluster.ask(partition.leader, request, lambda answer: list(read_answer(answer, known)))
        ):
            if each.code:
                raise explain_code(each.code)
            for step in read_batches(each.fetched, partition.position):
                if isinstance(step.item, Record):
                    return _describe_record(partition, step.item)
        return f"The last offset of {partition.topic}/{partition.number} holds no record."

    def _run(self, work: Any) -> Any:
        return self._cluster.run(work, max(0.1, self._deadline.remaining()))


def _describe_record(partition: Partition, record: Record) -> str:
    size = "no value (a tombstone)" if record.value is None else f"{len(record.value):,} bytes"
    key = f"a key of {len(record.key)} bytes" if record.key else "no key"
    return f"Record {record.offset:,} of {partition.topic}/{partition.number} has {key} and {size}."
