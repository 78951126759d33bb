"""Answers to gateways that push by RPC: in Connect's unary protocol or in gRPC-Web, whichever a request is written in.

Source: connectrpc.com/docs/protocol, grpc/doc/PROTOCOL-WEB.md. Errors of Connect are JSON with an HTTP status, those of
gRPC-Web have status 200 and stand in the last frame.
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from urllib.parse import quote

from shared.provider.grpc_web import MEDIA_TYPE, NAMES, TRAILERS, write_grpc_frame
from shared.runtime.exact_json import write_json
from shared.runtime.problem import Problem
from shared.runtime.web.text_reply import TextReply

SERVICE = "devices.v1.Ingest"
JSON, PROTO, TEXT = "application/json", "application/proto", f"{MEDIA_TYPE}-text"

STATUSES = {
    HTTPStatus.BAD_REQUEST: 3,
    HTTPStatus.UNAUTHORIZED: 16,
    HTTPStatus.FORBIDDEN: 7,
    HTTPStatus.NOT_FOUND: 5,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,
    HTTPStatus.UNPROCESSABLE_ENTITY: 3,
    HTTPStatus.TOO_MANY_REQUESTS: 8,
    HTTPStatus.NOT_IMPLEMENTED: 12,
    HTTPStatus.SERVICE_UNAVAILABLE: 14,
    HTTPStatus.GATEWAY_TIMEOUT: 4,
}
"""gRPC's status of an HTTP status; of any other 13, an internal error."""

INTERNAL = 13


def answer_rpc(content_type: str, document: bytes, message: bytes) -> TextReply | None:
    """A message as its request was written, as JSON or protobuf; None where that is of neither protocol."""
    media = _read_media(content_type)
    if media == JSON:
        return TextReply(document, JSON)
    if media == PROTO:
        return TextReply(message, PROTO)
    if media.startswith(MEDIA_TYPE):
        return _answer_web(media, write_grpc_frame(message) + _write_trailers(0, ""))
    return None


def refuse_rpc(path: str, content_type: str, problem: Problem) -> TextReply | None:
    """A problem, as calls of our service are answered; None where the request is none."""
    if not path.startswith(f"{SERVICE}/"):
        return None
    media, status = _read_media(content_type), STATUSES.get(problem.status, INTERNAL)
    if media.startswith(MEDIA_TYPE):
        return _answer_web(media, _write_trailers(status, problem.detail))
    if media not in {JSON, PROTO}:
        return None
    told = {"code": NAMES[status].lower(), "message": problem.detail}
    return TextReply(write_json(told), JSON, problem.status)


def _answer_web(media: str, body: bytes) -> TextReply:
    return TextReply(base64.b64encode(body) if media.startswith(TEXT) else body, media)


def _write_trailers(status: int, words: str) -> bytes:
    lines = f"grpc-status:{status}\r\n" + (f"grpc-message:{quote(words)}\r\n" if words else "")
    return write_grpc_frame(lines.encode(), TRAILERS)


def _read_media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
