"""What Supabase's gateway does before /rest/v1 and /auth/v1: cross-origin headers, the key as a token.

The functions are not behind this: on Supabase too they answer browsers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS"
_EXPOSED = "Content-Location, Content-Range, Content-Type, Location, Preference-Applied, Range-Unit"
_ALWAYS = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", _EXPOSED)]


def front_service(service: WSGIApplication) -> WSGIApplication:
    """The service as it looks through the gateway."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return _answer_preflight(environ, start_response)
        if "HTTP_AUTHORIZATION" not in environ and "HTTP_APIKEY" in environ:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {environ['HTTP_APIKEY']}"
        return service(environ, _with_origin(start_response))

    return answer


def _answer_preflight(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    headers = [
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "*")),
        ("Access-Control-Max-Age", "3600"),
        ("Content-Length", "0"),
    ]
    start_response("200 OK", _ALWAYS + headers)
    return []


def _with_origin(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, headers + _ALWAYS, *rest)

    return start
