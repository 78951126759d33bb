"""Adding a provider touches its file or package and its sample: two toys, written to a folder, do all that it takes."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
from starlette.requests import Request

import shared.providers
from functions.integrations import integrations
from functions.receive import receive
from shared.messages.session import run_session
from shared.provider import find_provider, list_types
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.contract import configs, test_every_provider
from tests.platform import Platform

PUSHED = '''
"""Toy: anything that posts JSON of its own shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson
from pydantic import SecretStr

from shared.provider import Destination, Message, PushedRequest, Receiver, locate_url


class Pushed(Receiver):
    """A service that pushes `{"id", "device", "readings"}`."""

    label: ClassVar[str] = "Pushed toy"
    docs: ClassVar[str] = "Takes what a toy pushes."

    project: str
    api_key: SecretStr | None = None

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """There is one toy only."""
        return locate_url("https://toy.example.com/")

    def parse(self, request: PushedRequest) -> list[Message]:
        """One message; what is no such JSON is kept as it came."""
        try:
            said = orjson.loads(request.body)
            line = "/".join([request.path, *request.query.get("line", [])])
            return [Message(said["id"], said["device"], topic=line, payload=said["readings"])]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [Message.undecoded(request.body, "Not the toy's JSON.", event_id=request.headers["x-id"])]
'''

POLLED = '''
"""Toy: anything that is asked for what is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from shared.provider import Batch, Check, Checker, Deadline, Destination, Poller, locate_url, run_check


class Polled(Checker, Poller):
    """A service that counts."""

    label: ClassVar[str] = "Polled toy"
    docs: ClassVar[str] = "Asks a toy for what is new."

    at_once: int = Field(2, ge=1, le=100)
    api_key: SecretStr

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """There is one toy only."""
        return locate_url("https://toy.example.com/")

    def check(self) -> Iterator[Check]:
        """Whether it counts."""
        yield run_check("count", lambda: "It counts.")

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """The next few numbers."""
        from shared.providers.toy_polled.session import count_on

        yield from count_on(state, self.at_once, self.limit_session(deadline))
'''

SESSION = '''
"""Session: counting on from where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypedDict, cast

from shared.provider import Batch, Deadline, Message


class Place(TypedDict, total=False):
    """How far it has counted."""

    last: int


def count_on(state: Mapping[str, object], at_once: int, deadline: Deadline) -> Iterator[Batch]:
    """Two batches of the next numbers; what is not committed comes again with the next session."""
    last = cast("Place", state).get("last", 0)
    for first in (last + 1, last + 1 + at_once):
        if deadline.expired:
            return
        numbers = range(first, first + at_once)
        messages = [Message(f"n-{number}", "counter", payload={"n": number}) for number in numbers]
        yield Batch(messages, Place(last=numbers[-1]))
'''

FILES = {"toy_pushed.py": PUSHED, "toy_polled/__init__.py": POLLED, "toy_polled/session.py": SESSION}
SAMPLES: dict[str, dict[str, Any]] = {
    "toy_pushed": {"project": "p", "api_key": "toy-secret-1", "webhook_secret": "toy-secret-2-of-16"},
    "toy_polled": {"at_once": 3, "api_key": "toy-secret-3"},
}


@pytest.fixture
def _toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toys' files and samples in a folder that the catalogue searches too."""
    for name, text in FILES.items():
        file = tmp_path / "providers" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip(), "utf-8")
    for name, config in SAMPLES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    monkeypatch.setattr(configs, "FOLDER", tmp_path)
    monkeypatch.setattr(
        shared.providers, "__path__", [*shared.providers.__path__, str(tmp_path / "providers")]
    )
    list_types.cache_clear()
    find_provider.cache_clear()
    yield
    for module in [name for name in sys.modules if name.startswith("shared.providers.toy_")]:
        del sys.modules[module]
    list_types.cache_clear()
    find_provider.cache_clear()


pytestmark = pytest.mark.usefixtures("_toys")


@pytest.fixture
def toy_admin(admin: Platform, functions_environment: None) -> Iterator[Platform]:  # noqa: ARG001 - wanted while it runs
    """An admin who calls the functions in this process, which alone knows the toys."""
    yield admin
    with admin.stack.connect() as connection:
        connection.execute("delete from device_integrations")


def call(function: Any, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """POST to a function as the framework would."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with flask.Flask("toys").test_request_context(path, method="POST", data=body, headers=names):
        reply = function(flask.request)
        return reply.status_code, json.loads(reply.get_data())


def push(path: str, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    """POST to the receiver, likewise."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}

    async def application(scope: Any, take: Any, send: Any) -> None:
        function: Any = receive
        reply = await function(Request(scope, take, send))
        await reply(scope, take, send)

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://toys") as client:
            return await client.post(path, content=body, headers=names)

    reply = asyncio.run(post())
    return reply.status_code, reply.json()


def create(admin: Platform, integration_type: str) -> str:
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": integration_type,
        "name": f"Toy {uuid.uuid4()}",
        "config": SAMPLES[integration_type],
    }
    proof = {"Authorization": f"Bearer {admin.stack.token(admin.user)}", "Content_Type": "application/json"}
    status, reply = call(integrations, "/", json.dumps(body).encode(), **proof)
    assert status == 201, reply
    return str(reply["integration"]["id"])


def read_messages(admin: Platform, integration_id: str) -> dict[str, Mapping[str, Any]]:
    rows = admin.rows("device_messages", integration_id=f"eq.{integration_id}", select="*")
    return {row["event_id"]: row for row in rows}


def test_the_catalogue_finds_them_by_their_names_with_what_they_can() -> None:
    assert set(SAMPLES) < set(list_types())
    assert find_provider("toy_pushed").capabilities() == ["parse"]
    assert find_provider("toy_polled").capabilities() == ["check", "session"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_contract_holds_for_them_without_being_edited(name: str) -> None:
    contract = [
        check
        for check in vars(test_every_provider).values()
        if getattr(check, "__name__", "").startswith("test_") and "name" in signature(check).parameters
    ]

    assert len(contract) > 8
    for check in contract:
        check(name)


def test_they_import_shared_provider_and_of_the_project_nothing_else() -> None:
    imported = {
        line for text in FILES.values() for line in re.findall(r"^ *from (shared[\w.]*)", text, re.MULTILINE)
    }

    assert imported == {"shared.provider", "shared.providers.toy_polled.session"}


def test_what_is_pushed_is_stored_once_and_what_is_not_its_json_is_kept(toy_admin: Platform) -> None:
    integration_id = create(toy_admin, "toy_pushed")
    said = b'{"id": "a-1", "device": "pump", "readings": {"temperature": 21.5}}'
    proof = {"X_Webhook_Secret": SAMPLES["toy_pushed"]["webhook_secret"], "X_Id": "b-1"}

    answers = [push(f"/{integration_id}", body, **proof) for body in (said, said, b"no JSON")]

    assert [status for status, _ in answers] == [202, 202, 202]
    stored = read_messages(toy_admin, integration_id)
    assert stored.keys() == {"a-1", "b-1"}
    assert stored["a-1"]["payload"] == {"temperature": 21.5}
    assert (stored["b-1"]["raw"], stored["b-1"]["error"]) == ("no JSON", "Not the toy's JSON.")


def test_what_follows_the_id_in_the_address_reaches_the_provider(toy_admin: Platform) -> None:
    integration_id = create(toy_admin, "toy_pushed")
    proof = {"X_Webhook_Secret": SAMPLES["toy_pushed"]["webhook_secret"]}
    said = b'{"id": "a-1", "device": "pump", "readings": {"temperature": 21.5}}'

    status, _ = push(f"/{integration_id}/hall/a%20b?line=3&line=4", said, **proof)

    assert status == 202
    assert read_messages(toy_admin, integration_id)["a-1"]["topic"] == "hall/a b/3/4"


def test_what_is_pushed_without_the_proof_is_refused(toy_admin: Platform) -> None:
    integration_id = create(toy_admin, "toy_pushed")

    status, _ = push(f"/{integration_id}", b"{}", X_Webhook_Secret="wrong")

    assert (status, read_messages(toy_admin, integration_id)) == (401, {})


def test_what_is_polled_is_stored_and_each_session_goes_on_where_the_last_ended(toy_admin: Platform) -> None:
    integration_id = create(toy_admin, "toy_polled")

    for _ in range(2):
        with toy_admin.stack.connect() as connection:
            connection.execute("update integration_schedules set due_at = now()")
        (row,) = as_service().call("lease_sessions", p_limit=2, p_lease_seconds=30)
        counts = run_session(row, as_service(), Deadline(10), Pulse())
        assert (counts["sessions"], counts["stored"]) == (1, 6)

    assert read_messages(toy_admin, integration_id).keys() == {f"n-{number}" for number in range(1, 13)}
