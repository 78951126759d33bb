"""Kept HTTP connections to the project, for its database and its signing keys: httpx, with an end to every call.

httpx bounds each wait; a call here bounds the whole answer too, in time and in size. No call is repeated: whether one
that broke was carried out, nobody here can know. It is httpx's transport that is called, for its client keeps cookies,
follows redirects and merges defaults, none of which is wanted here, and takes a third of a call for it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx

from shared.runtime.deadline import Deadline

CALL_SECONDS = 30.0
"""For the body of an answer as a whole, and for each wait before it."""

KEPT = httpx.Limits(max_connections=None, max_keepalive_connections=40, keepalive_expiry=30.0)
"""Less than servers, and what is between, allow an idle connection: it is to be we who end it."""

ANSWER_LIMIT = 64 * 1_048_576
FAILURES = (httpx.HTTPError, httpx.InvalidURL, OSError)
"""What a call raises when there is no whole answer to it in time."""


class Answer(NamedTuple):
    """An HTTP response, whatever its status."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


class Project:
    """HTTP connections to one project, shared by the threads of a process; none is open before the first call."""

    def __init__(self, url: str, *, call_seconds: float = CALL_SECONDS) -> None:
        self._url = url.rstrip("/")
        self._transport = httpx.HTTPTransport(limits=KEPT, proxy=_find_proxy(httpx.URL(url)))
        self._waits = {"timeout": httpx.Timeout(call_seconds).as_dict()}
        self._call_seconds = call_seconds

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request, `path` below the URL's own; FAILURES where no answer comes. Redirects are not followed."""
        deadline, chunks, size = Deadline(self._call_seconds), list[bytes](), 0
        names = {"Accept-Encoding": "gzip", **(headers or {})}
        request = httpx.Request(
            method, _read_url(self._url + path), headers=names, content=body, extensions=self._waits
        )
        with closing(self._transport.handle_request(request)) as response:
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > ANSWER_LIMIT:
                    raise ConnectionError("the answer is too large")
                if deadline.expired:
                    raise TimeoutError("no answer in time")
        return Answer(response.status_code, b"".join(chunks))

    def close(self) -> None:
        """Close what is idle."""
        self._transport.close()


@lru_cache(256)
def _read_url(url: str) -> httpx.URL:
    return httpx.URL(url)


def _find_proxy(url: httpx.URL) -> str | None:
    """What the environment has calls to that host go through, as httpx's client reads it."""
    proxies = {} if proxy_bypass(url.host) else getproxies()
    return proxies.get(url.scheme) or proxies.get("all")


def list_key_headers(key: str) -> dict[str, str]:
    """The headers for a call with an API key alone; `sb_…` keys are no tokens, so they are not sent as one."""
    return {"apikey": key} | ({} if key.startswith("sb_") else {"Authorization": f"Bearer {key}"})


_projects: dict[str, Project] = {}
_opening = threading.Lock()


def open_project(url: str) -> Project:
    """The process's connections to the project, opened at first use so that a forked worker has its own."""
    with _opening:
        return _projects.get(url) or _projects.setdefault(url, Project(url))


def close_projects() -> None:
    """Close all connections; the next use opens its own."""
    with _opening:
        while _projects:
            _projects.popitem()[1].close()
