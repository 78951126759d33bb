"""gRPC-Web: one message a call in a frame, the status in a last frame or, where there is no message, in the headers.

Source: grpc/doc/PROTOCOL-WEB.md. A frame is a byte of flags, four bytes of length and so many bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

MEDIA_TYPE = "application/grpc-web"
GRPC_WEB_HEADERS = {"Content-Type": f"{MEDIA_TYPE}+proto", "Accept": f"{MEDIA_TYPE}+proto", "X-Grpc-Web": "1"}
HEAD = 5
DATA, TRAILERS = 0x00, 0x80

NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE"),
    *("UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""Of gRPC's statuses, from 0."""

HTTP = {
    3: HTTPStatus.BAD_REQUEST,
    5: HTTPStatus.NOT_FOUND,
    6: HTTPStatus.CONFLICT,
    7: HTTPStatus.FORBIDDEN,
    8: HTTPStatus.TOO_MANY_REQUESTS,
    14: HTTPStatus.SERVICE_UNAVAILABLE,
    16: HTTPStatus.UNAUTHORIZED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call: gRPC's status, its words, and the message, which is there where the status is 0."""

    status: int
    words: str
    message: bytes | None


class GrpcWebError(ValueError):
    """Why an answer is none, as the end of a sentence."""


def write_grpc_frame(content: bytes, flags: int = DATA) -> bytes:
    """One frame; of a message it is the body of a request."""
    return bytes((flags,)) + len(content).to_bytes(4, "big") + content


def read_grpc_web(headers: Mapping[str, str], body: bytes) -> Answer:
    """What an answer of HTTP's status 200 says; GrpcWebError where it is none."""
    if not (_find(headers, "content-type") or "").lower().startswith(MEDIA_TYPE):
        raise GrpcWebError("no gRPC-Web")
    message, trailers = None, None
    for flags, content in read_grpc_frames(body):
        if trailers is not None or flags not in {DATA, TRAILERS} or (flags == DATA and message is not None):
            raise GrpcWebError("frames that a call has not")
        if flags == DATA:
            message = content
        else:
            trailers = _read_trailers(content)
    told = headers if trailers is None else trailers
    status = _find(told, "grpc-status") or ""
    if not (status.isascii() and status.isdecimal() and len(status) <= len("999")):
        raise GrpcWebError("no grpc-status")
    if status == "0" and message is None:
        raise GrpcWebError("no message")
    return Answer(int(status), unquote(_find(told, "grpc-message") or "", errors="replace"), message)


def name_grpc_status(status: int) -> str:
    """`NOT_FOUND (5)`."""
    return f"{NAMES[status] if status < len(NAMES) else 'an unknown status'} ({status})"


def translate_grpc_status(status: int) -> int:
    """The HTTP status that says the same; what is none of those passes."""
    return HTTP.get(status, HTTPStatus.INTERNAL_SERVER_ERROR)


def read_grpc_frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Flags and content of each frame; GrpcWebError where one is cut off."""
    at = 0
    while at < len(body):
        end = at + HEAD + int.from_bytes(body[at + 1 : at + HEAD], "big")
        if at + HEAD > len(body) or end > len(body):
            raise GrpcWebError("half a frame")
        yield body[at], body[at + HEAD : end]
        at = end


def _read_trailers(content: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in content.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}


def _find(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for each, value in headers.items() if each.lower() == name), None)
