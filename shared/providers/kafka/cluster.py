"""A cluster: its brokers as it says they are, and a connection to each that is asked for something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NamedTuple, Self, TypeVar

from aiokafka.conn import AIOKafkaConnection, ScramAuthenticator
from aiokafka.errors import SaslAuthenticationFailed
from aiokafka.protocol.metadata import MetadataRequest

from shared.provider import OutsideError, ProtocolFailed, make_tls_context
from shared.providers.kafka.failures import FAILURES, explain_code, explain_failure
from shared.providers.kafka.loop import CheckedLoop
from shared.providers.kafka.plan import ClusterPlan
from shared.providers.kafka.tokens import make_tokens
from shared.providers.kafka.topics import is_name

REQUEST_MS = 10_000
ANSWER_SECONDS = 20.0
LEAST_ITERATIONS, MOST_ITERATIONS = 4_096, 1_000_000
"""Of SCRAM: a broker chooses how long a password is stretched. Kafka's own takes 4,096 at least, as RFC 7677 says."""

MOST_BROKERS = 1_000
MOST_CHARACTERS = 255
Answer = TypeVar("Answer")

# What it has to say we say ourselves, and neither names nor numbers of an organization's belong in our log.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)


class PartitionPlace(NamedTuple):
    """A partition, and the broker that leads it; -1 where none does just now."""

    topic: str
    number: int
    leader: int


class Listing(NamedTuple):
    """What the cluster says there is; `refused` are topics by the number of what is answered for them."""

    partitions: list[PartitionPlace]
    refused: dict[str, int]


class _Scram(ScramAuthenticator):  # type: ignore[misc] # aiokafka has no types
    def create_salted_password(self, salt: bytes, iterations: int) -> None:
        if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise SaslAuthenticationFailed(f"{iterations} iterations")
        super().create_salted_password(salt, iterations)


class Connection(AIOKafkaConnection):  # type: ignore[misc] # aiokafka has no types
    """One to a broker, that stretches no password for minutes."""

    def authenticator_scram(self) -> ScramAuthenticator:
        """As there."""
        return _Scram(
            loop=self._loop,
            sasl_plain_password=self._sasl_plain_password,
            sasl_plain_username=self._sasl_plain_username,
            sasl_mechanism=self._sasl_mechanism,
        )


class Cluster:
    """Use it in a `with`, from one thread. What is asked is answered, or an OutsideError says why not."""

    def __init__(self, plan: ClusterPlan) -> None:
        self.id: str | None = None
        self.brokers: dict[int, tuple[str, int]] = {}
        self._plan = plan
        self._context = make_tls_context(plan.tls) if plan.tls else None
        self._tokens = make_tokens(plan.sasl) if plan.sasl and plan.sasl.token_url else None
        self._loop = CheckedLoop(plan.owner)
        self._connections: dict[int, Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for node in [*self._connections]:
            self.drop(node)
        self._loop.end()

    def run(self, work: Coroutine[Any, Any, Answer], seconds: float = ANSWER_SECONDS) -> Answer:
        """What `work` comes to, within so many seconds."""
        try:
            if self._tokens:
                self._tokens.renew()
            return self._loop.run_until_complete(asyncio.wait_for(work, seconds))
        except TimeoutError as error:
            raise explain_failure(error) from None
        finally:
            work.close()

    async def ask(self, node: int, request: Any, read: Callable[[Any], Answer]) -> Answer:
        """What `read` makes of what the broker of that number answers; of nonsense, it need not make anything."""
        host = self.brokers.get(node, ("The broker", 0))[0]
        try:
            connection = await self._connect_node(node)
            return read(await connection.send(request))
        except FAILURES as error:
            self.drop(node)
            raise explain_failure(error, host) from None

    async def connect(self, host: str, port: int) -> Connection:
        """A connection of its own, logged in."""
        sasl = self._plan.sasl
        connection = Connection(
            host,
            port,
            client_id=self._plan.client_id,
            request_timeout_ms=REQUEST_MS,
            ssl_context=self._context,
            security_protocol=self._plan.security_protocol,
            sasl_mechanism=sasl.mechanism if sasl else None,
            sasl_plain_username=sasl.username if sasl else None,
            sasl_plain_password=sasl.password if sasl else None,
            sasl_oauth_token_provider=self._tokens,
        )
        try:
            await connection.connect()
        except FAILURES as error:
            raise explain_failure(error, host) from None
        return connection

    async def list_partitions(self, topics: Iterable[str] | None) -> Listing:
        """The partitions of `topics`, of all there are where that is None; brokers are known from then on.

        Asked of a broker that is known, else of the first servers that answer. The topics are not made by asking.
        """
        request = MetadataRequest(None if topics is None else list(topics), False)  # noqa: FBT003 - as aiokafka has it
        failure: OutsideError = ProtocolFailed("The cluster names no brokers.")
        for node in [*self._connections]:
            try:
                return await self.ask(node, request, self._read)
            except OutsideError:
                continue
        for host, port in self._plan.servers:
            try:
                connection = await self.connect(host, port)
                try:
                    return self._read(await connection.send(request))
                except FAILURES as error:
                    raise explain_failure(error, host) from None
                finally:
                    connection.close()
            except OutsideError as problem:
                failure = problem
        raise failure

    def drop(self, node: int) -> None:
        """Connect to that broker anew the next time."""
        if connection := self._connections.pop(node, None):
            connection.close()

    async def _connect_node(self, node: int) -> Connection:
        connection = self._connections.get(node)
        if connection is None or not connection.connected():
            self.drop(node)
            if node not in self.brokers:
                raise explain_code(5)
            self._connections[node] = connection = await self.connect(*self.brokers[node])
        return connection

    def _read(self, answer: Any) -> Listing:
        brokers = {node: _check_place(host, port) for node, host, port, *_ in answer.brokers[:MOST_BROKERS]}
        for node in [node for node in self._connections if brokers.get(node) != self.brokers.get(node)]:
            self.drop(node)
        self.brokers = brokers
        self.id = _check_text(getattr(answer, "cluster_id", None) or "") or None
        partitions: list[PartitionPlace] = []
        refused: dict[str, int] = {}
        for code, topic, *_, places in answer.topics:
            if not is_name(topic):
                continue
            if code:
                refused[topic] = code
            else:
                partitions += [
                    PartitionPlace(topic, number, leader) for _, number, leader, *_ in sorted(places)
                ]
        return Listing(partitions, refused)


def _check_place(host: str, port: int) -> tuple[str, int]:
    if not host or not 0 < port < 65_536:  # noqa: PLR2004 - ports
        raise ValueError("a broker without an address")
    return _check_text(host), port


def _check_text(text: str) -> str:
    # It comes to stand in event ids and in what admins are told.
    if len(text) > MOST_CHARACTERS or not text.isprintable():
        raise ValueError("a name that is none")
    return text
