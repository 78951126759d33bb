"""Check: the codec compiles, the API answers, and what the next poll would find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, find_items, run_check
from shared.providers.http.session import Place, PollApi, make_url, name_polled

if TYPE_CHECKING:
    from shared.providers.http import Http

CHECK_SECONDS = 9.0
SHOWN = 5


def check_ways(http: Http) -> Iterator[Check]:
    """Each way in that the config has."""
    if http.codec:
        check = run_check("codec", lambda: _compile_codec(http))
        yield check
        if not check.ok:
            return
    if http.webhook_secret or http.device_tokens:
        yield run_check("receive", lambda: _tell_receiver(http))
    if http.poll_url:
        yield run_check("poll", lambda: _poll_once(http))


def _compile_codec(http: Http) -> str:
    functions = http.open_codec("codec").check()
    return f"It compiles: {', '.join(functions)}." if functions else "It compiles."


def _tell_receiver(http: Http) -> str:
    proofs = [
        *(["webhook_secret"] if http.webhook_secret else []),
        *(["the token of a device"] if http.device_tokens else []),
    ]
    return f"Post to /receive/{http.identity.integration_id or '<id>'}/…, with {' or '.join(proofs)}."


def _poll_once(http: Http) -> str:
    with PollApi(http.access, Deadline(CHECK_SECONDS)) as api:
        items = find_items(api.call("GET", make_url(http, Place(http.poll_first_cursor))), http.poll_items)
    keys = ", ".join(name_polled(http, item) for item in items[:SHOWN])
    return http.mask_text(f"It answered with {len(items):,} items. {keys}".strip())
