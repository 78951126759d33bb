"""One address for all of AWS: it checks each signature, answers what moto lacks, and asks moto for the rest."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from shared.providers.aws_iot.actions import ACTIONS
from tests.fakes.aws import jobs
from tests.fakes.aws.signatures import SignatureError, check_address, check_signature
from tests.fakes.aws.websockets import Upgrading, refuse_socket, relay_websocket
from tests.fakes.aws.words import ACCOUNT, Answer, Asked, answer_json, refuse, refuse_xml
from tests.fakes.background import InBackground

KEY_ID, SECRET = "AKIDEXAMPLE0000FAKE1", "canary/aws+secret-access-key"
DATA_HOST = "abc123-ats.iot.eu-west-1.amazonaws.com"
ACCESS_DENIED = "AccessDeniedException"
_HOP = frozenset(("connection", "transfer-encoding", "server", "date", "content-length"))


@dataclass
class Fault:
    """What goes wrong with the next `times` calls whose `METHOD path` matches `pattern`.

    `status` answers that error by its `name`, with `works` once the work was done; `seconds` answers late, `gate` once
    it is set; `close` hangs up `before` or `after` the work was done, `cut` ends the answer after so many bytes.
    """

    pattern: str = ""
    times: int = 1
    status: int = 0
    name: str = "InternalFailureException"
    seconds: float = 0.0
    gate: threading.Event | None = None
    works: bool = False
    close: str = ""
    cut: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class FakeAws(InBackground):
    """Use it in a `with`: `url` is the `endpoint_url` of configs. `calls` lists `METHOD path` of what came, in order.

    `devices` says of each connected client whether it confirms what it is sent; `delivered`, `published` is what went
    out. `denied` are permissions that the policy does not give; `things`, where it is set, takes the place of moto's.
    With `holds_back` a job is offered to nobody by itself. `broker_port` is where a mosquitto listens for WebSockets;
    `sockets` are the services that those were signed for, or what was wrong.
    """

    def __init__(self, moto: str) -> None:
        self.moto = urlsplit(moto)
        self.keys: dict[str, tuple[str, str]] = {KEY_ID: (SECRET, "")}
        self.roles: dict[str, str] = {}
        self.calls: list[str] = []
        self.scopes: list[str] = []
        self.faults: list[Fault] = []
        self.denied: set[str] = set()
        self.devices: dict[str, bool] = {}
        self.delivered: list[tuple[str, str, bytes]] = []
        self.published: list[tuple[str, bytes]] = []
        self.destinations: dict[str, str] = {}
        self.broker_port: int | None = None
        self.sockets: list[str] = []
        self.has_direct_messages = True
        self.endpoint = DATA_HOST
        self.things: list[dict[str, Any]] | None = None
        self.jobs: dict[str, jobs.Job] = {}
        self.holds_back = False
        self.lock = threading.RLock()
        super().__init__(_Server(("127.0.0.1", 0), _make_handler(self)))
        self.url = f"http://127.0.0.1:{self.port}"

    def revoke(self) -> None:
        """The key is gone."""
        self.keys.clear()

    def answer(self, asked: Asked) -> Answer:
        """What AWS answers to one request."""
        if asked.path.startswith("/confirmdestination/") and "authorization" not in asked.headers:
            return self._confirm(asked)
        try:
            signed = check_signature(self.keys, asked.method, asked.target, asked.headers, asked.body)
        except SignatureError as wrong:
            return refuse(403, str(wrong), "The security token included in the request is invalid.")
        with self.lock:
            self.scopes.append(signed.service)
        if signed.service == "sts":
            return self._assume(asked)
        action = name_action(asked)
        if action in self.denied:
            words = (
                f"User: arn:aws:iam::{ACCOUNT}:user/di is not authorized to perform: {action} on resource: * because "
                f"no identity-based policy allows the {action} action"
            )
            return refuse(403, ACCESS_DENIED, words)
        own = OWN.get(action)
        with self.lock:
            found = own(self, asked) if own else None
        return found or self._ask_moto(asked)

    def serve_socket(self, client: socket.socket, headers: dict[str, str], target: str) -> None:
        """Have the broker speak where the address of a WebSocket is signed as it has to be, and no fault is due."""
        fault = self.take_fault(Asked("GET", "/mqtt", {}, headers, b"", target))
        time.sleep(fault.seconds)
        if fault.close:
            return
        if fault.status:
            client.sendall(refuse_socket(fault.status)[: fault.cut])
            return
        try:
            self.sockets.append(check_address(self.keys, headers["Host"], target).service)
        except SignatureError as wrong:
            self.sockets.append(str(wrong))
        if self.broker_port and "Exception" not in self.sockets[-1]:
            relay_websocket(client, headers, self.broker_port)
        else:
            client.sendall(refuse_socket(403))

    def take_fault(self, asked: Asked) -> Fault:
        """The fault that is due for a call, counted down; one without effect where none is."""
        call = f"{asked.method} {asked.path}"
        with self.lock:
            self.calls.append(call)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, call):
                    fault.times -= 1
                    return fault
        return Fault()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What somebody else does at AWS, past us."""
        connection = http.client.HTTPConnection(self.moto.hostname or "", self.moto.port, timeout=60)
        scope = "iotdata" if "/shadow" in path else "iot"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260102/eu-west-1/{scope}/aws4_request, "
            "SignedHeaders=host, Signature=0",
            "Content-Type": "application/json",
        }
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status < 300, text
            return json.loads(text) if text else None
        finally:
            connection.close()

    def _ask_moto(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(self.moto.hostname or "", self.moto.port, timeout=60)
        headers = {name: value for name, value in asked.headers.items() if name not in _HOP}
        try:
            connection.request(asked.method, asked.target, asked.body or None, headers)
            reply = connection.getresponse()
            told = {name: value for name, value in reply.getheaders() if name.lower() not in _HOP}
            return Answer(reply.status, reply.read(), told)
        finally:
            connection.close()

    def _confirm(self, asked: Asked) -> Answer:
        token = unquote(asked.path.removeprefix("/confirmdestination/"))
        if token not in self.destinations:
            return refuse(404, "ResourceNotFoundException", "No such token.")
        self.destinations[token] = "ENABLED"
        return answer_json({})

    def _assume(self, asked: Asked) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(asked.body.decode()).items()}
        arn, external_id = form["RoleArn"], form.get("ExternalId")
        if self.roles.get(arn) != external_id:
            words = f"User is not authorized to perform: sts:AssumeRole on resource: {arn}"
            return refuse_xml(403, "AccessDenied", words)
        key_id, secret, token = (
            f"ASIA{uuid.uuid4().hex[:16].upper()}",
            f"s+{uuid.uuid4()}",
            f"t/{uuid.uuid4()}==",
        )
        self.keys[key_id] = (secret, token)
        expires = (datetime.now(UTC) + timedelta(seconds=int(form["DurationSeconds"]))).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        reply = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
            f"<SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return Answer(200, reply.encode(), {"Content-Type": "text/xml"})


def name_action(asked: Asked) -> str:
    """The permission that a call needs; the first that fits, as `addThingToThingGroup` stands before names."""
    is_data = "/iotdata/" in asked.headers.get("authorization", "")
    is_s3 = "/s3/" in asked.headers.get("authorization", "")
    place = "data" if is_data else "s3" if is_s3 else "iot"
    for name, action in sorted(ACTIONS.items(), key=lambda each: each[1].path.count("{}")):
        pattern = re.escape(action.path).replace(r"\{\}", "[^/]+")
        if (action.method, action.place) == (asked.method, place) and re.fullmatch(pattern, asked.path):
            return name
    return "unknown"


def publish(fake: FakeAws, asked: Asked) -> Answer:
    fake.published.append((unquote(asked.path.removeprefix("/topics/")), asked.body))
    return answer_json({"message": "OK", "traceId": str(uuid.uuid4())})


def send_directly(fake: FakeAws, asked: Asked) -> Answer:
    if not fake.has_direct_messages:
        return refuse(404, "UnknownOperationException", "")
    client = unquote(asked.path.split("/")[2])
    if client not in fake.devices:
        return refuse(404, "ResourceNotFoundException", "The client is not connected.")
    fake.delivered.append((client, asked.query["topic"], asked.body))
    if not fake.devices[client]:
        return refuse(504, "GatewayTimeoutException", "No acknowledgement was received in time.")
    return answer_json({"message": "OK", "traceId": str(uuid.uuid4())})


def describe_endpoint(fake: FakeAws, _asked: Asked) -> Answer:
    return answer_json({"endpointAddress": fake.endpoint})


def confirm(fake: FakeAws, asked: Asked) -> Answer:
    return fake._confirm(asked)


def list_things(fake: FakeAws, asked: Asked) -> Answer | None:
    return None if fake.things is None else jobs.page(asked, "things", fake.things)


OWN: dict[str, Callable[[FakeAws, Asked], Answer | None]] = {
    "iot:Publish": publish,
    "iot:SendDirectMessage": send_directly,
    "iot:DescribeEndpoint": describe_endpoint,
    "iot:ConfirmTopicRuleDestination": confirm,
    "iot:ListThings": list_things,
    **jobs.OWN,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients give up on slow answers.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _refuse(asked: Asked) -> Callable[[int, str, str], Answer]:
    return refuse_xml if "/sts/" in asked.headers.get("authorization", "") else refuse


def _make_handler(fake: FakeAws) -> type[BaseHTTPRequestHandler]:
    class Handler(Upgrading, BaseHTTPRequestHandler):
        upgrade = staticmethod(fake.serve_socket)
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, url.path, query, headers, body, self.path)
            fault = fake.take_fault(asked)
            if fault.seconds:
                time.sleep(fault.seconds)
            if fault.gate:
                fault.gate.wait(60)
            if fault.close == "before":
                self.close_connection = True
                return
            answer = fake.answer(asked) if fault.works or not fault.status else Answer(0, b"")
            if fault.status:
                answer = _refuse(asked)(fault.status, fault.name, "injected")
            if fault.close == "after":
                self.close_connection = True
                return
            self._reply(answer, fault)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

        def _reply(self, answer: Answer, fault: Fault) -> None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, **fault.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body if fault.cut is None else answer.body[: fault.cut])
            self.close_connection = self.close_connection or fault.cut is not None

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler
