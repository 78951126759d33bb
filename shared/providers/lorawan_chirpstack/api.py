"""The API of ChirpStack: its DeviceService through gRPC-Web over HTTP/1.1, which it speaks at the port of its pages.

Of a key that may not do a call, of one that is not known, and of a device that is not there it says 16, without words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from shared.provider import (
    GRPC_WEB_HEADERS,
    Access,
    ApiClient,
    CredentialsRefused,
    Deadline,
    GrpcWebError,
    OutboundReply,
    ProtocolFailed,
    ProviderRefused,
    is_final_status,
    name_grpc_status,
    read_grpc_web,
    refuse,
    translate_grpc_status,
    write_grpc_frame,
)

NAME = "ChirpStack"
SERVICE = "api.DeviceService"
WEIGHT = 6
"""About how many bytes are held for one of an answer once it is read."""

EUI = re.compile(r"[0-9a-fA-F]{16}")
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


class ChirpstackApi(ApiClient):
    """One account's calls, over one kept connection; see `ApiClient`.

    Errors: ProviderRefused with the HTTP status that says the same, CredentialsRefused for 7 and 16, OutsideErrors.
    """

    reply_bytes = 4 * 1_048_576
    tells_lengths = True

    def __init__(self, account: Account, deadline: Deadline, *, waits: bool = True) -> None:
        headers = {"Authorization": f"Bearer {account.api_key}"}
        access = Access(NAME, account.base_url, headers, [account.api_key], account.owner)
        super().__init__(access, deadline, waits=waits)
        self.account = account

    def call(self, name: str, *, again: bool = True, **fields: Any) -> Any:
        """The reply, a message of the schema. `again`: whether what may have had its effect may be repeated."""
        # Imported here, for whoever only receives needs no protobuf.
        from shared.providers.lorawan_chirpstack.schema import CALLS, MESSAGES, read_message

        takes, answers = CALLS[name]
        asked = write_grpc_frame(MESSAGES[takes](**fields).SerializeToString())
        request = self.describe(
            "POST", f"/{SERVICE}/{name}", {**GRPC_WEB_HEADERS, **self.access.headers}, asked
        )
        body = self.repeat(request, self._read, again=again)
        try:
            return read_message(answers, body)
        except ValueError:
            raise ProtocolFailed(f"{NAME}'s answer to {name} is malformed.") from None

    def weigh(self, part: bytearray) -> int:
        """As messages once it is read."""
        return WEIGHT * len(part)

    def _read(self, reply: OutboundReply) -> bytes:
        if reply.status != HTTPStatus.OK:
            raise self._refuse_http(reply)
        try:
            answer = read_grpc_web(reply.headers, self.hide_secrets(reply.body))
        except GrpcWebError as reason:
            raise ProtocolFailed(f"{NAME} answered with {reason}; {WRONG_ADDRESS}") from None
        if answer.message is None or answer.status:
            said = f"{NAME} answered {name_grpc_status(answer.status)}"
            raise self._refuse(translate_grpc_status(answer.status), said, reply, answer.words)
        return answer.message

    def _refuse_http(self, reply: OutboundReply) -> CredentialsRefused | ProviderRefused | ProtocolFailed:
        """What is answered before a call gets there: 404 is no device that is not there."""
        said, is_passing = f"{NAME}'s address answered {reply.status}", not is_final_status(reply.status)
        if is_passing or reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return self._refuse(reply.status, said, reply)
        return ProtocolFailed(f"{said}; {WRONG_ADDRESS}")

    def _refuse(
        self, status: int, said: str, reply: OutboundReply, words: str = ""
    ) -> CredentialsRefused | ProviderRefused:
        told = self.mask_words(words)
        answered, refused = (f"{said}: {told}",) * 2 if told else (f"{said}.", f"{said}, {NO_WORDS}.")
        return refuse(status, refused, answered, reply.retry_after)


def find_eui(names: Sequence[str]) -> str | None:
    """The first that is an EUI, as ChirpStack writes it: in small letters."""
    return next((each.lower() for each in names if EUI.fullmatch(each)), None)
