"""Every call of the API, well and badly, with canaries in every config, and everything that came back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.canaries.cage import Cage
from tests.canaries.configs import Planted, aim_at, find_secrets, list_invalid, plant_all
from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.fakes.parrot import ECHOES, Parrot, answer_echo
from tests.platform import Platform, run_tick
from tests.ports import find_free_port
from tests.stack import Stack

ROLES = ("viewer", "member", "stranger")
STATUSES = (200, 500, 302, 401, 429)
MESSAGES = len(ECHOES) + 1
BODY_LIMIT = 1_048_576
RECEIVERS = ("receive", "golioth-webhook")


@dataclass
class Driver:
    """An admin with a cage full of canaries; `heard` is what was answered, as (call, text)."""

    stack: Stack
    cage: Cage
    heard: list[tuple[str, str]] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    status: int = 200
    sent_out: int = 0
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))

    @property
    def admin(self) -> Platform:
        """Who does all this."""
        return self.as_role("admin")

    def as_role(self, role: str) -> Platform:
        """Somebody of the first organization, or a stranger."""
        return Platform(self.stack, self.stack.user(role))

    def drive(self) -> None:
        """All of it."""
        with HttpReceiver(self._answer) as receiver, Parrot() as parrot:
            http_port = int(receiver.url.split(":")[2].split("/")[0])
            created = [self._manage(planted) for planted in self._aim_all(http_port, parrot.port)]
            self._repeat_tests(created)
            self._refuse_configs(created)
            self._refuse_bodies(created[0])
            self._refuse_callers(created[0])
            self._write_past_the_api()
            self._move_messages(created)
            self.sent_out += self.cage.hears(parrot.heard.decode("latin-1"))
        self._end(created)
        self._http.close()

    def call(self, method: str, path: str, role: str = "admin", **request: Any) -> httpx.Response:
        """A call whose answer is kept."""
        headers = self._authorize(role) | request.pop("headers", {})
        reply = self._http.request(method, f"{self.stack.url}/functions/v1{path}", headers=headers, **request)
        return self._keep(f"{role}: {method} {path}", reply)

    def _authorize(self, role: str) -> dict[str, str]:
        token = self.stack.token(self.as_role(role).user)
        return {"Authorization": f"Bearer {token}", "apikey": self.stack.anon_key}

    def _keep(self, name: str, reply: httpx.Response) -> httpx.Response:
        headers = "\n".join(f"{key}: {value}" for key, value in reply.headers.items())
        self.heard.append(
            (f"{name} → {reply.status_code}", f"{reply.reason_phrase}\n{headers}\n{reply.text}")
        )
        self.statuses.add(reply.status_code)
        return reply

    def _answer(self, request: Received) -> Answer:
        self.sent_out += self.cage.hears(str(request.headers))
        return answer_echo(self.status, request, self.sent_out)

    def _aim_all(self, http_port: int, other_port: int) -> Iterator[Planted]:
        dead = find_free_port()
        for planted in plant_all(self.cage):
            yield aim_at(planted, http_port=http_port, other_port=other_port, plain=True)
            yield aim_at(planted, http_port=http_port, other_port=other_port, plain=False)
            yield aim_at(planted, http_port=dead, other_port=dead, plain=True)

    def _body(self, planted: Planted, **fields: Any) -> dict[str, Any]:
        return {
            "organization_id": self.admin.user.organization_id,
            "integration_type": planted.integration_type,
            "name": f"Canary {uuid.uuid4()}",
            "config": planted.config,
        } | fields

    def _manage(self, planted: Planted) -> tuple[str, Planted]:
        """One integration, through all that an admin does with it."""
        body, key = self._body(planted), {"Idempotency-Key": str(uuid.uuid4())}
        created = self.call("POST", "/integrations", json=body, headers=key)
        assert created.status_code == 201, created.text
        place = f"/integrations/{created.json()['integration']['id']}"
        self.call("POST", "/integrations", json=body, headers=key)
        self.call("POST", "/integrations", json=body | {"name": "Other"}, headers=key)
        self.call("POST", "/integrations", json=body)
        as_text = {name: value for name, value in body.items() if name != "config"} | {
            "name": str(uuid.uuid4())
        }
        self.call("POST", "/integrations", json=as_text | {"api_key_encrypted": json.dumps(planted.config)})
        for path in (
            place,
            "/integrations",
            f"/integrations?id={place[14:]}",
            f"{place}/activity",
            f"{place}/activity.csv",
            f"{place}/deliveries",
        ):
            self.call("GET", path)
        self.call("PATCH", place, json={"config": planted.config})
        self.call("PATCH", place, json={"config": planted.config}, headers={"If-Match": '"0"'})
        for inside, secret in find_secrets(planted.integration_type, planted.config).items():
            self.call("PATCH", place, json={"config": _nest(inside, self.cage.make())})
            self.call("PATCH", place, json={"config": _nest(inside, None)})
            self.call("PATCH", place, json={"config": _nest(inside, secret)})
        self.call("PATCH", place, json={"config": planted.config, "name": "Renamed " + place})
        self.call("POST", f"{place}/test")
        self.call("POST", "/integrations/test", json=_without(body, "name"))
        return place, planted

    def _repeat_tests(self, created: list[tuple[str, Planted]]) -> None:
        for place, planted in created:
            if "events" in planted.config:
                for self.status in STATUSES[:2]:
                    for _ in ECHOES:
                        self.call("POST", f"{place}/test")

    def _refuse_configs(self, created: list[tuple[str, Planted]]) -> None:
        first = {planted.integration_type: (place, planted) for place, planted in reversed(created)}
        for place, planted in first.values():
            for number, config in enumerate(list_invalid(self.cage, planted)):
                self._refuse_config(number, place, self._body(planted, config=config))

    def _refuse_config(self, number: int, place: str, body: dict[str, Any]) -> None:
        """In turns by one of the calls that take a config."""
        method, path, fields = (
            ("POST", "/integrations", body),
            ("POST", "/integrations/test", _without(body, "name")),
            ("PATCH", place, {"config": body["config"]}),
        )[number % 3]
        self.call(method, path, json=fields)

    def _refuse_bodies(self, created: tuple[str, Planted]) -> None:
        place, planted = created
        body = self._body(planted)
        text = json.dumps(body)
        wrong: list[dict[str, Any]] = [
            {"content": text},
            {"content": text[:-9], "headers": {"Content-Type": "application/json"}},
            {"content": f'{{"config": {self.cage.make()}}}', "headers": {"Content-Type": "application/json"}},
            {"content": text + " " * BODY_LIMIT, "headers": {"Content-Type": "application/json"}},
            {"json": [body]},
            {"json": self.cage.make()},
            {"json": body | {"config": [planted.config]}},
            {"json": body | {"config": json.dumps(planted.config)}},
            {"json": body | {"integration_type": self.cage.make()}},
            {"json": body | {"organization_id": self.cage.make()}},
            {"json": body | {"status": self.cage.make(), "name": {"x": self.cage.make()}}},
            {"json": body | {"api_key_encrypted": json.dumps(planted.config)}},
            {"json": _without(body, "config") | {"api_key_encrypted": json.dumps(planted.config)[:-9]}},
            {"json": _without(body, "config") | {"api_key_encrypted": planted.config}},
            {"data": planted.config},
            {"params": {"config": self.cage.make()}, "json": body | {"config": None}},
        ]
        for request in wrong:
            for method, path in (("POST", "/integrations"), ("POST", "/integrations/test"), ("PATCH", place)):
                self.call(method, path, **request)
        for method in ("PUT", "OPTIONS", "HEAD"):
            self.call(method, place, json=body)
        self.call("GET", "/integrations", params={"cursor": self.cage.make(), "limit": self.cage.make()})

    def _refuse_callers(self, created: tuple[str, Planted]) -> None:
        place, planted = created
        body = self._body(planted)
        for role in ROLES:
            self.call("POST", "/integrations", role, json=body)
            self.call("PATCH", place, role, json={"config": planted.config})
            self.call("POST", f"{place}/test", role)
            self.call("POST", "/integrations/test", role, json=_without(body, "name"))
            self.call("DELETE", place, role)
        for secret in (self.cage.make(), f"a.{self.cage.make()}.c"):
            headers = {"Authorization": f"Bearer {secret}"}
            for path in (place, *(f"/{name}/{place[14:]}" for name in RECEIVERS), "/scheduler"):
                self.call("POST", path, json=body, headers=headers)
        for path in ("device_integrations?select=api_key_encrypted", "device_integrations", "audit_log"):
            reply = self._http.get(f"{self.stack.url}/rest/v1/{path}", headers=self._authorize("admin"))
            self._keep(f"GET {path}", reply)

    def _write_past_the_api(self) -> None:
        """Credentials that nobody sealed: a user's are refused; others a tick finds, and they are taken away again."""
        reply = self._http.patch(
            f"{self.stack.url}/rest/v1/device_integrations?status=eq.active",
            json={"api_key_encrypted": self.cage.make()},
            headers=self._authorize("admin"),
        )
        self._keep("PATCH device_integrations", reply)
        with self.stack.connect() as connection:
            connection.execute(
                "with added as (insert into device_integrations (organization_id, integration_type, name, settings)"
                """ values (%s, 'mqtt', 'Past the API', '{"broker_url": 5}') returning id, organization_id)"""
                " insert into private.integration_secrets (integration_id, organization_id, sealed_sent)"
                " select id, organization_id, %s from added",
                (self.admin.user.organization_id, json.dumps({"password": self.cage.make()})),
            )
        self._tick()
        with self.stack.connect() as connection:
            connection.execute(
                "delete from private.integration_secrets where sealed_sent is not null and key_id = ''"
            )

    def _move_messages(self, created: list[tuple[str, Planted]]) -> None:
        """Messages in, deliveries and commands out, to a side that repeats everything."""
        for self.status in STATUSES:
            self._ingest(created[0][0][14:])
            self._tick()
        for device in self.admin.rows("devices", select="id"):
            self.call("POST", "/commands", json={"device_id": device["id"], "name": "x", "payload": {}})
        self._tick()

    def _ingest(self, integration_id: str) -> None:
        messages = [
            {"event_id": str(uuid.uuid4()), "device": "a", "kind": "telemetry", "payload": {"temperature": 1}}
            for _ in range(MESSAGES)
        ]
        key = self.stack.service_role_key
        reply = self._http.post(
            f"{self.stack.url}/rest/v1/rpc/ingest_messages",
            json={"p_integration_id": integration_id, "p_messages": messages},
            headers={"Authorization": f"Bearer {key}", "apikey": key},
        )
        assert reply.status_code == 200, reply.text

    def _tick(self) -> None:
        self.heard.append(("tick", json.dumps(run_tick(self.stack, seconds=15, idle_seconds=0.3))))

    def _end(self, created: list[tuple[str, Planted]]) -> None:
        """Everything outside is away now; then all of it is deleted but for one integration of each type."""
        self._ingest(created[0][0][14:])
        self._tick()
        for place, _ in created:
            for part in ("", "/activity", "/activity.csv", "/deliveries", "/metrics"):
                self.call("GET", f"{place}{part}")
            self.call("POST", f"{place}/test")
        self._scrape()
        for table in (
            *(
                "integration_activity",
                "webhook_attempts",
                "webhook_requests",
                "alerts",
                "device_integrations",
            ),
            *("integration_health", "integration_events", "integration_facts", "integration_totals"),
        ):
            self.heard.append(
                (table, json.dumps(self.admin.rows(table, select="*" if table[0] != "d" else "id,settings")))
            )
        for place, _ in created[::2]:
            self.call("DELETE", place)

    def _scrape(self) -> None:
        """What Prometheus gets; the secret that opens it is a canary too."""
        secret = self.cage.keep(self.stack.metrics_secret)
        headers = {"Authorization": f"Bearer {secret}"}
        reply = self._http.get(f"{self.stack.url}/functions/v1/metrics", headers=headers)
        assert reply.status_code == 200, reply.text
        self._keep("GET /metrics", reply)


def _nest(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {path[0]: _nest(path[1:], value)} if len(path) > 1 else {path[0]: value}


def _without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}
