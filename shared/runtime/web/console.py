"""The console's files as they are served: strict headers, and a page that says which project it belongs to.

Its files are in `shared/console`. The settings are read here past their model, with the same checks, for loading that
would be a quarter of the cold start; `server` has compared them with the model before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from html import escape
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import flask

from shared.runtime.setting_checks import check_anon_key, check_url
from shared.runtime.web.static import ASK_AGAIN, File, make_file, read_site, refuse, send_file

FOLDER = Path(__file__).resolve().parents[2] / "console"
PACKAGE = "elements"
PAGE = "index.html"

# Links in the page begin with console/: they hold whether its address ends with a slash or not, and at a root.
_OWN = re.compile(r"/*(?:functions/v1(?:/+|$))?(?:console(?:/+|$))*")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{places}; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)
_STRICT = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_SHARED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Console-Version",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""For modules, which other pages import."""


class Console:
    """The files, and what the environment says of the project."""

    def __init__(self, environment: Mapping[str, str], folder: Path = FOLDER) -> None:
        self._environment = environment
        self._site = read_site(folder, PACKAGE)
        self._template = self._site.files.pop(PAGE, None)

    def answer(self, request: flask.Request) -> flask.Response:
        """A file of the console, or 404; a file that the browser has already, 304."""
        if request.method not in {"GET", "HEAD"}:
            return self._answer_other(request.method)
        path = _OWN.sub("", request.path, count=1)
        if path in {"", PAGE} and self._page:
            return send_file(request, self._page, ASK_AGAIN, self._headers)
        file, keep = self._site.find(path)
        if file is None:
            return refuse(HTTPStatus.NOT_FOUND, "The console has no such file.", self._headers | _SHARED)
        return send_file(request, file, keep, self._headers | _SHARED)

    def _answer_other(self, method: str) -> flask.Response:
        headers = self._headers | _SHARED | {"Allow": "GET, HEAD, OPTIONS"}
        if method == "OPTIONS":
            return flask.Response(status=HTTPStatus.NO_CONTENT, headers=headers)
        return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "The console's files are read with GET.", headers)

    @cached_property
    def _headers(self) -> dict[str, str]:
        origins = {_name_origin(place) for place in (self._project_url, self._functions_url) if place}
        policy = _POLICY.format(places="".join(f" {origin}" for origin in sorted(origins)))
        return _STRICT | {"Content-Security-Policy": policy, "X-Console-Version": self._site.version}

    @cached_property
    def _page(self) -> File | None:
        """The page with what it has to know: addresses, the key that every frontend has, the version of its modules."""
        if self._template is None:
            return None
        key = self._read("SUPABASE_ANON_KEY")
        told = {
            "url": self._project_url,
            "key": key and check_anon_key(key),
            "functions": self._functions_url,
            "version": self._site.version,
        }
        text = self._template.body.decode()
        for name, value in told.items():
            text = text.replace(f"{{{{ {name} }}}}", escape(value))
        return make_file(PAGE, text.encode())

    @property
    def _project_url(self) -> str:
        url = self._read("SUPABASE_PUBLIC_URL") or self._read("SUPABASE_URL")
        return check_url(url) if url else ""

    @property
    def _functions_url(self) -> str:
        url = self._read("FUNCTIONS_URL")
        return check_url(url) if url else f"{self._project_url}/functions/v1"

    def _read(self, name: str) -> str:
        return self._environment.get(name, "").strip()


def _name_origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
