"""Posting to a receiver as a sender that is asked to come again does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus

import httpx

TRIES = 20


def post_reading(http: httpx.Client, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Post until it is accepted; RuntimeError where it isn't after `TRIES`."""
    for _ in range(TRIES):
        reply = http.post(url, content=body, headers=headers)
        if reply.status_code == HTTPStatus.ACCEPTED:
            return
        time.sleep(float(reply.headers.get("Retry-After", 1)))
    raise RuntimeError(f"The receiver answered {reply.status_code}: {reply.text}")
