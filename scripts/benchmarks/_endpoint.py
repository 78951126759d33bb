"""A webhook endpoint in a process of its own, as fast as Python answers; /hang never does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class _Endpoint(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (length := _measure_request(self._waiting)) is not None:
            request, self._waiting = self._waiting[:length], self._waiting[length:]
            if b" /hang " not in request[:20] and isinstance(self._transport, asyncio.Transport):
                self._transport.write(ANSWER)


def _measure_request(data: bytes) -> int | None:
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    name = data.find(b"Content-Length: ", 0, head)
    length = head + 4 + int(data[name + 16 : data.find(b"\r\n", name)])
    return length if len(data) >= length else None


@contextmanager
def start_endpoint() -> Iterator[str]:
    """Its url, without a path."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Endpoint, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
