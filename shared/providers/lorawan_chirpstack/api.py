"""The API of ChirpStack: its DeviceService through gRPC-Web over HTTP/1.1, which it speaks at the port of its pages.

Of a key that may not do a call, of one that is not known, and of a device that is not there it says 16, without words.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from shared.provider import (
    SMALL,
    Backoff,
    CredentialsRefused,
    Deadline,
    OutboundClient,
    OutboundReply,
    OutboundRequest,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    is_final_status,
    load_budget,
    mask_secrets,
    note_call,
)
from shared.providers.lorawan_chirpstack.grpc_web import (
    HEADERS,
    GrpcWebError,
    name_status,
    read_answer,
    translate_status,
    write_frame,
)

NAME = "ChirpStack"
SERVICE = "api.DeviceService"
REQUEST_SECONDS = 20.0
MEMORY_SECONDS = 10.0
REPLY_BYTES = 4 * 1_048_576
WEIGHT = 6
"""About how many bytes are held for one of an answer once it is read."""

EUI = re.compile(r"[0-9a-fA-F]{16}")
TRIES = 4
BACKOFF = Backoff(0.5, 4.0)
LONGEST_WAIT = 30.0
WORDS_LIMIT = 500
NO_WORDS = (
    "which ChirpStack does not explain: the key is not valid, read-only, of another tenant, or there is no such device "
    "or application"
)
WRONG_ADDRESS = "base_url is the address of its pages, at port 8080 unless that was changed."


@dataclass(frozen=True, slots=True)
class Account:
    """Whose application: the address without a slash at its end; `owner` is our organization."""

    base_url: str
    api_key: str
    application_id: str
    owner: str = ""


class ChirpstackApi:
    """One account's calls, over one kept connection. Use it in a `with`.

    Every call ends by `deadline`; what may pass is tried again. Errors: ProviderRefused with the HTTP status that says
    the same, CredentialsRefused for 7 and 16, other OutsideErrors. `waits` as of JsonApi: without it, whoever calls is
    told of the first 429 or 503.
    """

    def __init__(self, account: Account, deadline: Deadline, *, waits: bool = True) -> None:
        # Imported here, for it brings ssl with it, and whoever calls no API does not need it.
        import asyncio

        self.account, self.deadline = account, deadline
        self._waits = waits
        self._runner = asyncio.Runner()
        self._client = OutboundClient()
        self._holding = load_budget().open(account.owner)
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._holding.close()
            self._runner.close()

    def call(self, name: str, *, again: bool = True, **fields: Any) -> Any:
        """The reply, a message of the schema. `again`: whether what may have had its effect may be repeated."""
        # Imported here, for whoever only receives needs no protobuf.
        from shared.providers.lorawan_chirpstack.schema import CALLS, MESSAGES, read_message

        takes, answers = CALLS[name]
        body = self._call(name, write_frame(MESSAGES[takes](**fields).SerializeToString()), again=again)
        try:
            return read_message(answers, body)
        except ValueError:
            raise ProtocolFailed(f"{NAME}'s answer to {name} is malformed.") from None

    def _call(self, name: str, body: bytes, *, again: bool) -> bytes:
        failures = 0
        while True:
            try:
                return self._read(self._send(name, body))
            except ProviderRefused as refusal:
                failures += 1
                pause = self._choose_pause(refusal, failures, again=again)
                if pause is None:
                    raise
            time.sleep(pause)

    def _choose_pause(self, refusal: ProviderRefused, failures: int, *, again: bool) -> float | None:
        """Seconds until it is tried again; None where it is not, for what is answered with 429 alone was not begun."""
        is_limited = refusal.answered == HTTPStatus.TOO_MANY_REQUESTS
        if refusal.is_final or failures >= TRIES or not self._waits or not (again or is_limited):
            return None
        pause = BACKOFF.pause(failures) if refusal.retry_after is None else refusal.retry_after
        return pause if pause < min(LONGEST_WAIT, self.deadline.remaining()) else None

    def _send(self, name: str, body: bytes) -> OutboundReply:
        self._holding.close()
        self._size = 0
        seconds = min(REQUEST_SECONDS, self.deadline.remaining())
        if seconds <= 0:
            raise TimedOut(f"The time for {NAME}'s API was used up; the rest follows with the next run.")
        request = OutboundRequest(
            "POST",
            f"{self.account.base_url}/{SERVICE}/{name}",
            {**HEADERS, "Authorization": f"Bearer {self.account.api_key}"},
            body,
            # Rounded up, so that once it has passed the deadline has, too.
            timeout_seconds=math.ceil(seconds * 100) / 100,
            reply_limit=REPLY_BYTES,
            whole=True,
            meet=self._weigh,
        )
        reply = self._runner.run(self._client.send(request))
        note_call(reply.milliseconds)
        return reply

    def _weigh(self, part: bytearray, _left: int) -> None:
        """Take memory for a part of an answer before it is kept."""
        self._size += len(part)
        if self._size * WEIGHT > max(SMALL, self._holding.size):
            # Twice as much, so that an answer of many parts asks a few times.
            self._holding.reserve(2 * self._size * WEIGHT, self.deadline.within(MEMORY_SECONDS))

    def _read(self, reply: OutboundReply) -> bytes:
        if reply.status != HTTPStatus.OK:
            raise self._refuse_http(reply)
        try:
            answer = read_answer(reply.headers, self._hide_key(reply.body))
        except GrpcWebError as reason:
            raise ProtocolFailed(f"{NAME} answered with {reason}; {WRONG_ADDRESS}") from None
        if answer.message is None or answer.status:
            said = f"{NAME} answered {name_status(answer.status)}"
            raise self._refuse(translate_status(answer.status), said, reply, answer.words)
        return answer.message

    def _refuse_http(self, reply: OutboundReply) -> CredentialsRefused | ProviderRefused | ProtocolFailed:
        """What is answered before a call gets there: 404 is no device that is not there."""
        said, is_passing = f"{NAME}'s address answered {reply.status}", not is_final_status(reply.status)
        if is_passing or reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self._refuse(reply.status, said, reply)
        return ProtocolFailed(f"{said}; {WRONG_ADDRESS}")

    def _hide_key(self, body: bytes) -> bytes:
        # What is not the other side may say back what it is sent: a key is no data. As long, for lengths are told.
        key = self.account.api_key.encode()
        return body.replace(key, b"*" * len(key))

    def _refuse(
        self, status: int, said: str, reply: OutboundReply, words: str = ""
    ) -> CredentialsRefused | ProviderRefused:
        # Masked in every form; and Postgres has no text with NUL.
        told = mask_secrets(words, [self.account.api_key])[:WORDS_LIMIT].replace("\x00", "\ufffd")
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return CredentialsRefused(f"{said}: {told}" if told else f"{said}, {NO_WORDS}.")
        asked = reply.retry_after
        return ProviderRefused(f"{said}: {told}" if told else f"{said}.", answered=status, retry_after=asked)


def find_eui(names: Sequence[str]) -> str | None:
    """The first that is an EUI, as ChirpStack writes it: in small letters."""
    return next((each.lower() for each in names if EUI.fullmatch(each)), None)
