"""What Supabase's gateway does before /rest/v1 and /auth/v1: the API key, cross-origin headers, the key as a token.

The functions are not behind this: on Supabase too they need no key, and answer browsers themselves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.wrappers import Response

_METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS"
_EXPOSED = (
    "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Link, Location, Preference-Applied, "
    "Proxy-Status, Range-Unit, Retry-After, X-Total-Count"
)
_ALWAYS = [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", _EXPOSED)]
NO_CONTENT = "204 No Content"
"""How functions answer a preflight, and so whoever refuses in the place of one."""

OPEN_OF_AUTH = ("/verify", "/authorize", "/callback", "/.well-known/")
"""Where a browser follows a link, and where keys are published: no key can be asked for."""

log = logging.getLogger(__name__)


def front_service(
    service: WSGIApplication, keys: Collection[str], open_paths: tuple[str, ...] = ()
) -> WSGIApplication:
    """The service as it looks through the gateway, to which one of the API keys has to be shown but on open paths."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        key = environ.get("HTTP_APIKEY") or parse_qs(environ.get("QUERY_STRING", "")).get("apikey", [""])[0]
        if key not in keys and not environ["PATH_INFO"].startswith(open_paths):
            return _refuse_key(key)(environ, start_response)
        if key and "HTTP_AUTHORIZATION" not in environ:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        try:
            return service(environ, start_response)
        except OSError:
            # The connection's own end, nothing to answer on it.
            raise
        except Exception:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            return refuse(500, "UNEXPECTED", "An unexpected error; the log says which")(
                environ, start_response
            )

    return allow_origins(answer)


def allow_origins(service: WSGIApplication, preflight: str = "200 OK") -> WSGIApplication:
    """The service for browsers of any origin, whatever it answers; `preflight` is the status of what they ask first."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return _answer_preflight(environ, start_response, preflight)
        return service(environ, _with_origin(start_response))

    return answer


def refuse(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error of the gateway's own."""
    body = json.dumps({"code": code, "message": message})
    return Response(body, status, headers, content_type="application/json")


def _refuse_key(key: str) -> Response:
    hint = "No `apikey` request header or url param was found."
    body = {"message": "No API key found in request", "hint": hint}
    if key:
        hint = "Double check your Supabase `anon` or `service_role` API key."
        body = {"message": "Invalid API key", "hint": hint}
    return Response(json.dumps(body), 401, content_type="application/json")


def _answer_preflight(
    environ: WSGIEnvironment, start_response: StartResponse, status: str
) -> Iterable[bytes]:
    headers = [
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "*")),
        ("Access-Control-Max-Age", "3600"),
        *([] if status == NO_CONTENT else [("Content-Length", "0")]),
    ]
    start_response(status, _ALWAYS + headers)
    return []


def _with_origin(start_response: StartResponse) -> StartResponse:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, headers + _ALWAYS, *rest)

    return start
