"""The API itself: one address for queries, mutations, event streams and WebSockets, as most servers have it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSMsgType, web

PAGE = 100


@dataclass
class Behaviour:
    """How it behaves; each may be changed while it runs."""

    subprotocols: tuple[str, ...] = ("graphql-transport-ws", "graphql-ws")
    sockets: bool = True
    events: bool = True
    acknowledges: bool = True
    early_ka: bool = False
    refuses_with: int | None = None
    """The code that it closes with, in place of an acknowledgement."""
    refuses_payload: Any = None
    """What a connection_error says, in place of an acknowledgement."""
    deaf_seconds: float = 0.0
    """How long after a subscription came it begins to count."""
    http_answer: tuple[int, Any] | None = None
    page: int = PAGE
    silent: bool = False
    """Whether subscriptions bring nothing."""


@dataclass
class FakeGraphql:
    """Use it in a `with`: `url` is its address, `asked` the bodies that were posted, `readings` all there is."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    readings: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    """What came over WebSockets."""
    subscribed: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._feeds: set[asyncio.Queue[Any]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def listeners(self) -> int:
        """How many subscriptions are open."""
        return len(self._feeds)

    def add(self, *readings: dict[str, Any]) -> None:
        """New readings, which those who subscribed are told."""
        self._run(self._add(readings))

    def end_feeds(self, code: int | None = None) -> None:
        """End every subscription: with a close of that code, else with complete."""
        self._run(self._tell(code if code is not None else "complete"))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_post("/graphql", self._answer_post)
        app.router.add_get("/graphql", self._answer_get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        server: Any = site._server
        self.port = server.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _add(self, readings: tuple[dict[str, Any], ...]) -> None:
        self.readings += readings
        if not self.behaviour.silent:
            for reading in readings:
                await self._tell({"data": {"readingAdded": reading}})

    async def _tell(self, what: Any) -> None:
        for feed in self._feeds:
            feed.put_nowait(what)

    # Over HTTP

    async def _answer_post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.headers.append(dict(request.headers))
        self.asked.append(body)
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await self._stream_events(request, body)
        if self.behaviour.http_answer is not None:
            status, answer = self.behaviour.http_answer
            text = answer if isinstance(answer, str) else json.dumps(answer)
            return web.Response(status=status, text=text, content_type="application/json")
        return web.json_response(self._resolve(body))

    def _resolve(self, body: dict[str, Any]) -> dict[str, Any]:
        document, variables = body["query"], body.get("variables") or {}
        if "__typename" in document:
            return {"data": {"__typename": "Query"}}
        if document.startswith("mutation"):
            return {"data": {"send": {"ok": variables.get("device") != "deaf", "job": "j-1"}}}
        return {"data": {"readings": self._list_after(variables.get("cursor"))[: self.behaviour.page]}}

    def _list_after(self, cursor: Any) -> list[dict[str, Any]]:
        after = -1 if cursor is None else cursor
        return sorted((each for each in self.readings if each["id"] > after), key=lambda each: each["id"])

    async def _stream_events(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not self.behaviour.events:
            return web.json_response({"errors": [{"message": "no event streams here"}]}, status=406)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        async for told in self._follow(body):
            if told == "complete":
                await response.write(b"event: complete\ndata:\n\n")
                break
            if isinstance(told, int):
                break
            await response.write(f"event: next\ndata: {json.dumps(told)}\n\n".encode())
        return response

    async def _follow(self, body: dict[str, Any]) -> Any:
        feed: asyncio.Queue[Any] = asyncio.Queue()
        await asyncio.sleep(self.behaviour.deaf_seconds)
        document, variables = body["query"], body.get("variables") or {}
        if "readings_stream" in document:
            for reading in self._list_after(variables.get("cursor")):
                feed.put_nowait({"data": {"readings_stream": [reading]}})
        self._feeds.add(feed)
        self.subscribed += 1
        try:
            while True:
                told = await feed.get()
                if isinstance(told, dict) and "readings_stream" in document:
                    added = told.get("data", {}).get("readingAdded")
                    told = {"data": {"readings_stream": [added]}} if added else told
                yield told
        finally:
            self._feeds.discard(feed)

    # Over a WebSocket

    async def _answer_get(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if not self.behaviour.sockets:
            return web.json_response({"message": "this is no WebSocket"}, status=404)
        socket = web.WebSocketResponse(protocols=self.behaviour.subprotocols, heartbeat=None)
        await socket.prepare(request)
        work: list[asyncio.Task[None]] = []
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    said = json.loads(message.data)
                    self.said.append(said)
                    await self._hear(socket, said, work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return socket

    async def _hear(
        self, socket: web.WebSocketResponse, said: dict[str, Any], work: list[asyncio.Task[None]]
    ) -> None:
        if said["type"] == "connection_init":
            await self._acknowledge(socket)
        elif said["type"] in {"subscribe", "start"}:
            payload = said["payload"]
            body = json.loads(payload["data"]) if isinstance(payload.get("data"), str) else payload
            if "data" in payload:
                await socket.send_json({"id": said["id"], "type": "start_ack"})
            work.append(asyncio.ensure_future(self._stream_results(socket, said["id"], body)))
        elif said["type"] == "ping":
            await socket.send_json({"type": "pong"})

    async def _acknowledge(self, socket: web.WebSocketResponse) -> None:
        behaviour = self.behaviour
        if behaviour.early_ka:
            await socket.send_json({"type": "ka"})
        if behaviour.refuses_with is not None:
            await socket.close(code=behaviour.refuses_with, message=b"no")
        elif behaviour.refuses_payload is not None:
            await socket.send_json({"type": "connection_error", "payload": behaviour.refuses_payload})
        elif behaviour.acknowledges:
            await socket.send_json({"type": "connection_ack"})

    async def _stream_results(
        self, socket: web.WebSocketResponse, operation: str, body: dict[str, Any]
    ) -> None:
        word = "next" if socket.ws_protocol == "graphql-transport-ws" else "data"
        async for told in self._follow(body):
            if isinstance(told, int):
                await socket.close(code=told, message=b"restart")
                return
            if told == "complete":
                await socket.send_json({"id": operation, "type": "complete"})
                return
            await socket.send_json({"id": operation, "type": word, "payload": told})
