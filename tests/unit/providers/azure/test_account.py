"""An IoT Hub behind a policy's key: signatures, methods, twins, the registry, what is refused, the connection test."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.provider import (
    Command,
    CommandRefused,
    CredentialsRefused,
    Deadline,
    DeviceChange,
    NewDevice,
    NotSupported,
    Outcome,
    ProviderRefused,
)
from shared.providers.azure_iot import AzureIot
from shared.providers.azure_iot.api import METHOD_SECONDS, AzureApi
from shared.providers.azure_iot.sas import sign_resource
from shared.runtime.errors import InvalidConfig
from shared.runtime.outbound.api_client import ApiClient
from tests.fakes.azure.iot_hub import HOST, KEY, FakeIotHub, RefusedError
from tests.unit.providers.azure.account import make_azure

pytestmark = pytest.mark.usefixtures("allow_loopback")
STRING = f"HostName={HOST};SharedAccessKeyName=platform;SharedAccessKey={KEY}"


@pytest.fixture
def fake() -> Iterator[FakeIotHub]:
    with FakeIotHub() as started:
        started.know("pump-1")
        started.methods["pump-1", "reboot"] = lambda payload: (200, {"got": payload})
        yield started


def tell(azure: AzureIot, payload: Any = None, device: str = "pump-1", name: str = "reboot") -> Outcome:
    ends = datetime.now(UTC) + timedelta(minutes=5)
    return azure.send(Command(str(uuid.uuid4()), device, name, payload, ends))


@pytest.mark.parametrize(
    ("resource", "signature"),
    [
        ("myhub.azure-devices.net", "jEkIetR76L5t1cJp6nYfzTzGgQUmZFjmkgT8k8gp5I4%3D"),
        ("myhub.azure-devices.net/devices/dev1", "p7FZ%2BFMJBKvrRMX75CrkOutK3op9Cqyxpi3%2BumkLblQ%3D"),
    ],
)
def test_signatures_are_those_of_the_vectors(resource: str, signature: str) -> None:
    signed = sign_resource(resource, "Zm9vYmFyYmF6cXV4", 1700003600, "service")

    assert f"&sig={signature}&se=1700003600&skn=service" in signed


def test_a_connection_string_is_taken_apart_and_only_its_key_is_a_secret() -> None:
    azure = make_azure(host_name=None, shared_access_key=STRING)

    assert (azure.host_name, azure.policy_name) == (HOST, "platform")
    assert azure.shared_access_key is not None
    assert azure.shared_access_key.get_secret_value() == KEY
    assert azure.locate({"host_name": HOST}) == ("https", HOST, "443")
    assert KEY in azure.secret_values
    assert STRING not in azure.secret_values


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"host_name": "hub.example.com"}, "host_name"),
        ({"host_name": "acme.azure-devices.net.evil.example"}, "host_name"),
        ({"shared_access_key": KEY, "policy_name": "p", "host_name": None}, "shared_access_key"),
        ({"shared_access_key": KEY}, "shared_access_key"),
        ({"shared_access_key": "not base64!", "policy_name": "p"}, "shared_access_key"),
        ({"shared_access_key": f"HostName={HOST};DeviceId=a;SharedAccessKey={KEY}"}, "config"),
        ({"shared_access_key": STRING, "host_name": "other.azure-devices.net"}, "config"),
        ({"sync_direction": "both"}, "config"),
        ({"sync_where": "a\nb"}, "sync_where"),
        ({"webhook_secret": None}, "config"),
    ],
)
def test_what_can_not_be_is_said_at_its_field_without_the_key(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make_azure(**config)

    assert [error.field for error in refusal.value.errors] == [field]
    assert KEY not in repr(refusal.value.errors)


def test_the_key_goes_to_the_hub_or_to_the_address_that_is_written() -> None:
    assert make_azure().locate({"host_name": HOST, "base_url": "https://hub.example.com"}) == (
        "https",
        "hub.example.com",
        "443",
    )
    with pytest.raises(NotSupported, match="connection string"):
        _ = make_azure().account


@pytest.mark.parametrize(
    "payload", [None, {}, {"delay": 5}, [1], "now", {"method": "reboot", "payload": {"a": 1}}]
)
def test_a_method_is_called_and_its_answer_is_the_outcome(fake: FakeIotHub, payload: Any) -> None:
    outcome = tell(make_azure(fake), payload)

    given = payload["payload"] if isinstance(payload, dict) and "method" in payload else payload
    assert fake.called == [("pump-1", "reboot", given)]
    assert (outcome.confirmed, outcome.result) == (True, {"status": 200, "payload": {"got": given}})


def test_a_method_is_waited_for_as_long_as_it_was_given(
    fake: FakeIotHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApiClient, "request_seconds", 0.5)
    answered = threading.Event()
    fake.methods["pump-1", "reboot"] = lambda _: (200, answered.wait(2))

    outcome = tell(make_azure(fake), {"method": "reboot", "response_timeout_seconds": METHOD_SECONDS - 5})

    assert (outcome.confirmed, len(fake.called)) == (True, 1)
    assert AzureApi.request_seconds > METHOD_SECONDS


def test_what_is_desired_is_written_for_a_device_that_sleeps(fake: FakeIotHub) -> None:
    fake.know("pump-1", online=False)

    outcome = tell(make_azure(fake), {"desired": {"interval": 60}})

    assert fake.devices["pump-1"]["desired"] == {"interval": 60}
    assert (outcome.confirmed, outcome.reference) == (False, "desired:2")


@pytest.mark.parametrize("newer", [False, True])
def test_a_device_that_is_not_online_is_tried_again_in_both_shapes_of_the_error(
    fake: FakeIotHub,
    newer: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fake.know("pump-1", online=False)
    fake.is_newer = newer

    with pytest.raises(ProviderRefused, match="not online") as refusal:
        tell(make_azure(fake))

    assert not refusal.value.is_final


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [
        (404, "404001", True),
        (400, "400027", True),
        (413, "413001", True),
        (403, "403002", False),
        (429, "429001", False),
        (504, "504101", False),
        (503, "503001", False),
        (500, "500001", False),
    ],
)
def test_what_the_hub_refuses_is_final_or_not(
    fake: FakeIotHub,
    status: int,
    code: str,
    is_final: bool,  # noqa: FBT001 - a parameter of the test
    newer: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fake.refusals = [RefusedError(status, code, "so it is", {"Retry-After": "7"})]
    fake.is_newer = newer

    with pytest.raises(ProviderRefused, match="so it is") as refusal:
        tell(make_azure(fake))

    assert refusal.value.is_final == is_final
    assert fake.called == []
    assert status not in {403, 429} or (refusal.value.answered, refusal.value.retry_after) == (429, 7)


@pytest.mark.parametrize("said", [b"<html>ok</html>", b"", b"[]", b'{"status": "fine"}'])
def test_a_method_whose_answer_can_not_be_read_was_called_and_is_not_called_again(
    fake: FakeIotHub, said: bytes
) -> None:
    fake.says_nothing = said

    outcome = tell(make_azure(fake))

    assert (outcome.confirmed, outcome.result, len(fake.called)) == (False, None, 1)


@pytest.mark.parametrize(
    ("status", "error"), [(404, CommandRefused), (400, CommandRefused), (503, ProviderRefused)]
)
def test_what_the_device_itself_answers_holds_up_no_other(
    fake: FakeIotHub, status: int, error: type[Exception]
) -> None:
    fake.methods["pump-1", "reboot"] = lambda _: (status, {"why": "busy"})

    with pytest.raises(error, match="busy") as refusal:
        tell(make_azure(fake))

    assert getattr(refusal.value, "answered", 0) in {0, 502}


@pytest.mark.parametrize(
    "payload",
    [
        {"method": ""},
        {"method": "a", "desired": {}},
        {"desired": 5},
        {"response_timeout_seconds": 4},
        {"response_timeout_seconds": 40, "connect_timeout_seconds": 40},
        {"method": "a", "other": 1},
    ],
)
def test_a_payload_that_can_not_be_meant_is_refused(fake: FakeIotHub, payload: Any) -> None:
    with pytest.raises(CommandRefused):
        tell(make_azure(fake), payload)

    assert fake.asked == []


def test_a_wrong_key_is_told_without_it_and_without_a_signature(fake: FakeIotHub) -> None:
    fake.key = "b3RoZXI="

    with pytest.raises(CredentialsRefused) as refusal:
        tell(make_azure(fake, shared_access_key=KEY))

    assert KEY not in refusal.value.detail
    assert "sig=" not in refusal.value.detail


def test_a_twin_is_read_below_any_name_without_what_the_hub_adds(fake: FakeIotHub) -> None:
    fake.know("pump-1", {"site": "berlin"}, desired={"led": {"on": True}}, reported={"fw": "1.2"})
    state = make_azure(fake).state("pump-1")

    assert state.read(()) == {
        "desired": {"led": {"on": True}},
        "reported": {"fw": "1.2"},
        "tags": {"site": "berlin"},
        "status": "enabled",
    }
    assert state.read(("desired", "led", "on")) is True
    assert state.read(("reported", "none")) is None


def test_what_is_written_is_merged_or_takes_the_place_of_what_was(fake: FakeIotHub) -> None:
    fake.know("pump-1", desired={"led": {"on": True, "color": "red"}, "interval": 5})
    state = make_azure(fake).state("pump-1")

    merged = state.write(("desired", "led"), {"color": "blue"}, merge=True)
    replaced = state.write(("desired", "led"), {"blink": {"ms": 5}}, merge=False)
    state.remove(("desired", "interval"))

    assert (merged, replaced) == ({"on": True, "color": "blue"}, {"blink": {"ms": 5}})
    assert fake.devices["pump-1"]["desired"] == {"led": {"blink": {"ms": 5}}}


def test_what_somebody_else_writes_between_is_not_lost(fake: FakeIotHub) -> None:
    fake.know("pump-1", desired={"a": {"x": 1}})

    def meanwhile(hub: FakeIotHub) -> None:
        hub.devices["pump-1"] |= {"desired": {"a": {"x": 1, "late": 2}}, "etag": "new"}

    fake.between = meanwhile
    written = make_azure(fake).state("pump-1").write(("desired", "a"), {"y": 3}, merge=False)

    assert written == {"y": 3}
    assert fake.devices["pump-1"]["desired"] == {"a": {"y": 3}}


@pytest.mark.parametrize("path", [("reported", "a"), ("other",), ("reported",)])
def test_what_is_the_devices_own_is_not_written(fake: FakeIotHub, path: tuple[str, ...]) -> None:
    state = make_azure(fake).state("pump-1")

    with pytest.raises(ProviderRefused) as written:
        state.write(path, 1, merge=True)
    with pytest.raises(ProviderRefused) as removed:
        state.remove(path)

    assert (written.value.answered, removed.value.answered) == (400, 400)


def test_a_device_is_disabled_and_enabled_by_its_status(fake: FakeIotHub) -> None:
    state = make_azure(fake).state("pump-1")
    keys = fake.devices["pump-1"]["authentication"]

    assert state.write(("status",), "disabled", merge=False) == "disabled"
    assert fake.devices["pump-1"]["status"] == "disabled"
    assert state.write(("status",), "enabled", merge=False) == "enabled"
    assert fake.devices["pump-1"]["authentication"] == keys
    with pytest.raises(ProviderRefused):
        state.write(("status",), "broken", merge=False)


def test_the_registry_comes_page_by_page_with_tags_and_name(fake: FakeIotHub) -> None:
    for number in range(250):
        site = "berlin" if number % 2 else "bonn"
        fake.know(f"d-{number}", {"name": f"Pump {number}", "site": site, "field": True, "dry": False})
    seen = []
    with make_azure(fake, sync_where="tags.site = 'berlin'").devices(Deadline(30)) as directory:
        page = directory.list_page(None)
        seen += page.devices
        while page.next_cursor:
            page = directory.list_page(page.next_cursor)
            seen += page.devices

    assert len({each.id for each in seen}) == 125
    assert directory.narrowed
    first = seen[0]
    assert (first.id, first.name, first.tags, first.enabled) == ("d-1", "Pump 1", ("field",), True)
    assert first.attributes == {"site": "berlin", "connection_state": "Connected"}
    assert first.last_report == "2026-11-20T10:00:00+00:00"


def test_a_throttled_query_waits_as_long_as_it_is_told(fake: FakeIotHub) -> None:
    fake.refusals = [RefusedError(429, "429001", "Throttling", {"Retry-After": "1"})] * 2

    with make_azure(fake).devices(Deadline(30)) as directory:
        page = directory.list_page(None)

    assert [each.id for each in page.devices] == ["pump-1"]


@pytest.mark.parametrize(
    ("hardware_ids", "authentication"),
    [
        ((), "sas"),
        (("a" * 40,), "selfSigned"),
        (("a" * 64, "b" * 64), "selfSigned"),
    ],
)
def test_a_device_is_made_with_keys_or_thumbprints_and_its_tags(
    fake: FakeIotHub, hardware_ids: tuple[str, ...], authentication: str
) -> None:
    with make_azure(fake).devices(Deadline(30)) as directory:
        wanted = NewDevice("roof-1", hardware_ids, ("field",))
        made = directory.settle(directory.create(wanted).id, wanted)
        assert made
        assert directory.find(NewDevice("roof-1", hardware_ids)) == made

    there = fake.devices["roof-1"]
    assert (made.id, made.name, made.tags) == ("roof-1", "roof-1", ("field",))
    assert (there["tags"], there["authentication"]["type"]) == (
        {"field": True, "name": "roof-1"},
        authentication,
    )
    if hardware_ids:
        prints = there["authentication"]["x509Thumbprint"]
        assert prints["primaryThumbprint"] == hardware_ids[0].upper()
        assert prints["secondaryThumbprint"] == hardware_ids[-1].upper()


def test_a_name_that_can_be_no_id_is_kept_beside_it(fake: FakeIotHub) -> None:
    with make_azure(fake).devices(Deadline(30)) as directory:
        wanted = NewDevice("Roof, north side", ("hw-7",))
        made = directory.settle(directory.create(wanted).id, wanted)
        with pytest.raises(ProviderRefused, match="128 letters"):
            directory.create(NewDevice("Roof, north side"))
        with pytest.raises(ProviderRefused, match="128 letters"):
            directory.name_identity("Roof, north side")

    assert made
    assert (made.id, made.name) == ("hw-7", "Roof, north side")


def test_a_key_is_given_once_and_what_is_changed_leaves_the_rest(fake: FakeIotHub) -> None:
    key = "0123456789abcdef0123456789abcdef"
    fake.know("pump-1", {"old": True, "site": "berlin"})
    with make_azure(fake).devices(Deadline(30)) as directory:
        for _ in range(2):
            directory.add_key("pump-1", "pump-1", key)
        writes = [each for each in fake.asked if each[0] == "PUT"]
        directory.update("pump-1", DeviceChange("Pump", ("new",), ("old",)))
        with pytest.raises(ProviderRefused, match="tag"):
            directory.update("pump-1", DeviceChange(add_tags=("a b",)))
        with pytest.raises(NotSupported):
            directory.add_authority("-----BEGIN CERTIFICATE-----")
        directory.delete("pump-1")
        directory.delete("pump-1")

    assert len(writes) == 1
    assert fake.devices == {}


def test_what_is_changed_in_the_twin_leaves_the_rest(fake: FakeIotHub) -> None:
    fake.know("pump-1", {"old": True, "site": "berlin"})
    with make_azure(fake).devices(Deadline(30)) as directory:
        directory.update("pump-1", DeviceChange("Pump", ("new",), ("old",)))

    assert fake.devices["pump-1"]["tags"] == {"site": "berlin", "new": True, "name": "Pump"}


@pytest.mark.parametrize(("missing", "step"), [("ServiceConnect", "service"), ("RegistryRead", "registry")])
def test_the_connection_test_names_the_missing_right(fake: FakeIotHub, missing: str, step: str) -> None:
    fine = list(make_azure(fake).check())
    fake.rights.remove(missing)

    *_, failed = make_azure(fake).check()

    assert [(each.name, each.ok) for each in fine] == [
        (name, True) for name in ("receive", "address", "service", "registry")
    ]
    assert (failed.name, failed.ok) == (step, False)
    assert f"lacks the right {missing}" in failed.detail


def test_the_connection_test_tells_a_wrong_key_from_a_missing_right(fake: FakeIotHub) -> None:
    fake.key = "b3RoZXI="

    *_, failed = make_azure(fake, shared_access_key=KEY).check()

    assert (failed.name, failed.ok) == ("service", False)
    assert "lacks" not in failed.detail
    assert KEY not in failed.detail
