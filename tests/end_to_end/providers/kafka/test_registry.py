"""Bodies by a schema registry, over a real socket: Avro and JSON Schema read, what is unknown kept, nothing skipped."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import pytest

from shared.provider import Message, StoredBody
from shared.runtime.errors import CredentialsRefused, OutsideError
from tests.fakes.background import InBackground
from tests.fakes.kafka.site import TOPIC, make_kafka, produce
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
SITE = {"type": "record", "name": "plant.Site", "fields": [{"name": "id", "type": "string"}]}
READING = {
    "type": "record",
    "name": "Reading",
    "fields": [{"name": "temperature", "type": "double"}, {"name": "device", "type": "string"}],
}
GUID = uuid.UUID(int=77)


@dataclass
class Registry:
    """What it answers by path, and what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    authorization: str = ""
    seconds: float = 0.0


@contextmanager
def serve_registry() -> Iterator[tuple[Registry, str]]:
    """One that knows two schemas, and its address."""
    registry = Registry(
        {
            "/subjects": ["reading-value"],
            "/schemas/ids/1": {"schema": json.dumps(READING)},
            "/schemas/ids/2": {"schema": "{}", "schemaType": "JSON"},
            "/schemas/ids/3": {"schema": "syntax", "schemaType": "PROTOBUF"},
            "/schemas/ids/4": {
                "schema": json.dumps(
                    {"type": "record", "name": "R", "fields": [{"name": "at", "type": "plant.Site"}]}
                ),
                "references": [{"name": "site", "subject": "site", "version": 2}],
            },
            "/subjects/site/versions/2": {"schema": json.dumps(SITE)},
            f"/schemas/guids/{GUID}": {"schema": json.dumps(READING)},
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.asked.append(self.path)
            time.sleep(registry.seconds)
            registry.authorization = str(self.headers["Authorization"])
            answer = registry.answers.get(self.path, {"error_code": 40403, "message": "Schema not found"})
            status = 404 if self.path not in registry.answers else 200
            body = json.dumps(answer).encode()
            self.send_response(registry.status if registry.status != 200 else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with InBackground(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield registry, f"http://127.0.0.1:{server.port}/"


def write(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def frame(number: int, body: bytes) -> bytes:
    return b"\x00" + number.to_bytes(4) + body


AVRO = write(READING, {"temperature": 21.5, "device": "pump-1"})


def test_avro_and_json_schema_are_read_and_each_schema_is_asked_for_once(servers: str) -> None:
    values = [frame(1, AVRO), frame(2, b'{"temperature": 3}'), frame(1, AVRO), b"\x01" + GUID.bytes + AVRO]
    with serve_registry() as (registry, url):
        produce(servers, values, partition=0)
        ledger = Ledger()
        ledger.run(make_kafka(servers, schema_registry_url=url), 4)

    payloads = [message.payload for message in ledger.stored.values()]
    assert payloads == [
        {"temperature": 21.5, "device": "pump-1"},
        {"temperature": 3},
        {"temperature": 21.5, "device": "pump-1"},
        {"temperature": 21.5, "device": "pump-1"},
    ]
    assert registry.asked == ["/schemas/ids/1", "/schemas/ids/2", f"/schemas/guids/{GUID}"]
    schemas = [(message.metadata or {}).get("schema_id") for message in ledger.stored.values()]
    assert schemas == [1, 2, 1, str(GUID)]


def test_the_id_may_be_in_a_header(servers: str) -> None:
    with serve_registry() as (_, url):
        produce(servers, [AVRO], headers=[("__value_schema_id", b"\x01" + GUID.bytes)])
        ledger = Ledger()
        ledger.run(make_kafka(servers, schema_registry_url=url), 1)

    assert [message.payload["temperature"] for message in ledger.stored.values()] == [21.5]


def test_a_schema_s_references_are_read_first(servers: str) -> None:
    with serve_registry() as (_, url):
        produce(servers, [frame(4, b"\x06abc")])
        ledger = Ledger()
        ledger.run(make_kafka(servers, schema_registry_url=url), 1)

    assert [message.payload for message in ledger.stored.values()] == [{"at": {"id": "abc"}}]


def test_what_can_not_be_read_is_kept_raw_and_the_rest_goes_on(servers: str) -> None:
    values = [frame(9, b"x"), frame(3, b"x"), frame(1, b"\xff"), b"\x07no frame", b'{"a": 1}', frame(1, AVRO)]
    with serve_registry() as (_, url):
        produce(servers, values, partition=0)
        ledger = Ledger()
        ledger.run(make_kafka(servers, schema_registry_url=url), 6)

    *_, plain, last = ledger.stored.values()
    errors = [message.error for message in ledger.stored.values()]
    assert errors[:4] == [
        "The registry knows no schema of the id 9.",
        "Its schema is PROTOBUF, which is not read here, or too large.",
        "Its Avro can't be read: it is not what its schema says (EOFError).",
        "It has no frame that says by which schema of the registry it is written.",
    ]
    assert (plain.payload, last.payload["temperature"]) == ({"a": 1}, 21.5)


def test_while_the_registry_fails_nothing_is_skipped_and_it_is_told(servers: str) -> None:
    kafka, ledger = {"sasl_mechanism": None}, Ledger()
    with serve_registry() as (registry, url):
        produce(servers, [b'{"a": 1}', frame(1, AVRO), b'{"a": 2}'], partition=0)
        registry.status = 401
        with pytest.raises(CredentialsRefused, match="The schema registry refused"):
            ledger.run(make_kafka(servers, schema_registry_url=url, **kafka), 3)
        registry.status = 200
        ledger.run(make_kafka(servers, schema_registry_url=url), 3)

    assert [message.payload for message in ledger.stored.values()] == [
        {"a": 1},
        {"temperature": 21.5, "device": "pump-1"},
        {"a": 2},
    ]
    assert ledger.duplicates == 0


def test_a_registry_that_is_not_there_is_told(servers: str) -> None:
    produce(servers, [frame(1, AVRO)])

    with pytest.raises(OutsideError):
        Ledger().run(make_kafka(servers, schema_registry_url="http://127.0.0.1:9"), 1)


def test_the_connection_test_asks_the_registry_with_its_password(servers: str) -> None:
    produce(servers, [frame(1, AVRO)])
    login = {"schema_registry_username": "ada", "schema_registry_password": "canary"}
    with serve_registry() as (registry, url):
        steps = {check.name: check for check in make_kafka(servers, schema_registry_url=url, **login).check()}

    assert (steps["registry"].ok, steps["registry"].detail) == (True, "It has 1 subjects.")
    assert registry.authorization == "Basic YWRhOmNhbmFyeQ=="


def test_what_was_kept_raw_is_decoded_again_once_the_registry_knows_it() -> None:
    stored = [
        StoredBody(frame(1, AVRO), "event-1", TOPIC, "pump-9"),
        StoredBody(frame(9, b""), "event-2", TOPIC),
    ]
    with serve_registry() as (_, url):
        ((read,), (kept,)) = make_kafka("127.0.0.1:9", schema_registry_url=url).decode(stored)

    assert (read.payload["temperature"], read.device) == (21.5, "pump-1")
    assert kept.error == "The registry knows no schema of the id 9."


REFERENCES = "/subjects/{}/versions/1"


def name_others(*subjects: str) -> dict[str, Any]:
    """A schema that names these."""
    return {
        "schema": json.dumps({"type": "record", "name": f"R{len(subjects)}", "fields": []}),
        "references": [{"name": subject, "subject": subject, "version": 1} for subject in subjects],
    }


def read_framed(answers: dict[str, Any]) -> tuple[list[str], Message]:
    """What the registry was asked, and what became of a body by schema 7."""
    stored = [StoredBody(frame(7, b""), "event-1", TOPIC)]
    with serve_registry() as (registry, url):
        registry.answers |= answers
        ((message,),) = make_kafka("127.0.0.1:9", schema_registry_url=url).decode(stored)
    return registry.asked, message


def test_a_schema_that_several_name_is_asked_for_once() -> None:
    answers = {REFERENCES.format(f"s{number}"): name_others(*[f"s{number + 1}"] * 2) for number in range(20)}
    answers |= {REFERENCES.format("s20"): {"schema": json.dumps(SITE)}, "/schemas/ids/7": name_others("s0")}

    asked, _ = read_framed(answers)

    assert len(asked) == 22


def test_schemas_that_name_each_other_are_told() -> None:
    answers = {REFERENCES.format("a"): name_others("b"), REFERENCES.format("b"): name_others("a")}

    asked, message = read_framed(answers | {"/schemas/ids/7": name_others("a")})

    assert message.error == "Its Avro can't be read: its schema names too many others, or itself."
    assert len(asked) == 3


@pytest.mark.parametrize("said", [[1], {"references": 5}, {"references": ["a"]}, {"references": {"a": 1}}])
def test_a_registry_that_answers_nonsense_is_told(said: Any) -> None:
    with pytest.raises(OutsideError, match="something else than a schema"):
        read_framed({"/schemas/ids/7": said})


def test_a_registry_that_takes_its_time_for_each_record_does_not_keep_the_lease_from_being_renewed(
    servers: str,
) -> None:
    with serve_registry() as (registry, url):
        registry.seconds = 0.4
        produce(servers, [frame(number, b"") for number in range(100, 130)], partition=0)
        ledger = Ledger()
        ledger.run(make_kafka(servers, schema_registry_url=url), 1)

    assert len(registry.asked) < 30
    assert len(ledger.stored) == len(registry.asked)
