"""Messages read by MQTT, through the whole platform: each once, over kills; a refusal is an alert and no storm."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.scheduler.tick import run_tick
from tests.documents import read_blocks
from tests.end_to_end.providers.aws_iot.site import Site, open_site
from tests.fakes.aws import FakeAws
from tests.fakes.aws.rules import select_bytes
from tests.fakes.aws.server import DATA_HOST
from tests.fakes.brokers import make_mosquitto, publish_all
from tests.fakes.certificates import PemAuthority
from tests.platform import Platform
from tests.ports import find_free_port
from tests.waiting import wait_until

AUTHORITY = PemAuthority()
PAGE = Path(__file__).resolve().parents[4] / "docs" / "aws-iot.md"
BY_MQTT = {"ingest": "mqtt", "topics": "devices/+/telemetry", "data_endpoint": DATA_HOST}

pytestmark = pytest.mark.usefixtures("functions_environment")


@pytest.fixture
def plain(tmp_path: Path, aws: FakeAws) -> Iterator[int]:
    """The plain port of a mosquitto that is behind the WebSockets of `aws`."""
    port = find_free_port()
    settings = [f"listener {port} 127.0.0.1", "allow_anonymous true"]
    with make_mosquitto(tmp_path, settings, ["protocol websockets", "allow_anonymous true"]) as broker:
        aws.broker_port = broker.port
        yield port


def tick(site: Site, seconds: float = 3.0) -> None:
    """A session of everything that is due, or will be after failed ones."""
    with site.admin.stack.connect() as connection:
        connection.execute("update integration_schedules set due_at = now() where lease_token is null")
    run_tick(as_service(), Deadline(seconds), None)


def read_state(site: Site) -> dict[str, Any]:
    with site.admin.stack.connect() as connection:
        query = "select state from integration_schedules where integration_id = %s"
        (row,) = connection.execute(query, (site.integration["id"],)).fetchall()
    return dict(row[0] or {})


def is_subscribed(site: Site) -> bool:
    return bool(read_state(site).get("subscribed"))


def has_stored(site: Site, count: int) -> bool:
    return len(site.messages()) >= count


def list_activity(site: Site) -> list[str]:
    return [each["message"] for each in site.call("GET", "/activity").json()["activity"]]


def make_readings(numbers: range) -> list[tuple[str, bytes]]:
    return [(f"devices/p{n % 3}/telemetry", json.dumps({"id": f"m-{n}", "t": n}).encode()) for n in numbers]


def test_the_example_of_the_page_reads_with_its_certificate(
    admin: Platform, aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example, _ = read_blocks(PAGE, "json", "MQTT instead of rules")
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"), "require_certificate true")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    client, port = AUTHORITY.issue("platform"), find_free_port()
    own = {"client_certificate": client.certificate, "client_key": client.key}
    nobody = {"access_key_id": None, "secret_access_key": None}
    settings = [f"listener {port} 127.0.0.1", "allow_anonymous true"]
    with make_mosquitto(tmp_path, settings, listener) as broker:
        config = json.loads(example) | own | nobody | {"mqtt_port": broker.port}
        with open_site(admin, aws, **config) as site:
            tick(site)
            publish_all(port, make_readings(range(2)) + make_readings(range(1)))
            tick(site)

            stored = [(each["payload"]["t"], each["devices"]["external_id"]) for each in site.messages()]
            said = list_activity(site)

    assert stored == [(0, "p0"), (1, "p1")]
    assert len([each for each in said if "exactly once" in each]) == 1
    assert len([each for each in said if "10 messages a second" in each]) == 1


def test_each_message_is_stored_once_over_kills_of_the_worker(
    admin: Platform, aws: FakeAws, plain: int, start_worker: Callable[[], Popen[bytes]]
) -> None:
    with open_site(admin, aws, **BY_MQTT, event_id_path="id") as site:
        tick(site)
        assert is_subscribed(site)
        for first in range(0, 300, 100):
            publish_all(plain, make_readings(range(first, first + 50)))
            worker = start_worker()
            wait_until(partial(has_stored, site, first + 1), "nothing came")
            publish_all(plain, make_readings(range(first + 50, first + 100)))
            worker.kill()
            worker.wait()
            with admin.stack.connect() as connection:
                connection.execute("update integration_schedules set due_at = now()")
        start_worker()

        wait_until(partial(has_stored, site, 300), "not all came")

        assert sorted(each["payload"]["t"] for each in site.messages()) == [*range(300)]


def test_a_revoked_key_becomes_an_alert_and_no_storm(site: Site, aws: FakeAws, plain: int) -> None:
    del plain
    site.patch(**BY_MQTT | {"secret_access_key": aws.keys["AKIDEXAMPLE0000FAKE1"][0]})
    aws.revoke()

    for _ in range(3):
        tick(site, 5)

    assert aws.sockets == ["UnrecognizedClientException"] * 3
    assert "authentication.failed" in site.alerts()


def test_rules_give_way_to_mqtt_and_what_they_still_push_is_stored(
    site: Site, aws: FakeAws, plain: int
) -> None:
    tick(site)
    assert aws.sockets == []
    site.patch(**BY_MQTT | {"secret_access_key": aws.keys["AKIDEXAMPLE0000FAKE1"][0]})

    tick(site)
    publish_all(plain, [("devices/p1/telemetry", b'{"t": 1}')])
    tick(site)
    site.sender.send(select_bytes("devices/p2/telemetry", b'{"t": 2}', "p2", 1_767_323_045_123))

    assert [each["payload"]["t"] for each in site.messages()] == [1, 2]


def test_what_aws_sends_on_its_own_topics_moves_devices(site: Site, aws: FakeAws, plain: int) -> None:
    site.patch(
        **BY_MQTT
        | {
            "secret_access_key": aws.keys["AKIDEXAMPLE0000FAKE1"][0],
            "topics": ["devices/+/telemetry", "$aws/events/presence/#"],
        }
    )
    tick(site)

    def tell(what: str, version: int, moment: int) -> tuple[str, bytes]:
        body = {"clientId": "p1", "eventType": what, "versionNumber": version, "timestamp": moment}
        body |= {"disconnectReason": "DUPLICATE_CLIENTID"} if what == "disconnected" else {}
        return f"$aws/events/presence/{what}/p1", json.dumps(body).encode()

    start = 1_767_323_045_000
    publish_all(plain, [("devices/p1/telemetry", b'{"t": 1, "timestamp": 1767323040}')])
    publish_all(plain, [tell("connected", 2, start), tell("disconnected", 1, start + 50)])
    tick(site)
    status = {name: row["status"] for name, row in site.devices().items()}

    assert status == {"p1": "online"}
