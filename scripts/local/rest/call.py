"""One HTTP request as PostgREST sees it: method, identity, preferences, media type, query and body."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from scripts.local.rest.errors import RestError, refuse_feature, refuse_token
from scripts.local.rest.prefer import Preferences, parse_prefer
from scripts.local.rest.query import Query, parse_query
from scripts.local.rest.transaction import Identity
from scripts.local.rest.window import apply_range

MAX_BODY = 64 * 1024 * 1024
READING = ("GET", "HEAD")
CSV_TYPE = "text/csv"
OBJECT_TYPES = ("application/vnd.pgrst.object+json", "application/vnd.pgrst.object")
ARRAY_TYPES = (
    "*/*",
    "application/*",
    "application/json",
    "application/vnd.pgrst.array+json",
    "application/vnd.pgrst.array",
)
CONTENT_TYPES = {"", *OBJECT_TYPES, *ARRAY_TYPES} - {"*/*", "application/*"}
OTHER_BODIES = {"text/csv", "application/x-www-form-urlencoded"}
PROFILE = {"GET": "Accept-Profile", "HEAD": "Accept-Profile"}
BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
Verify = Callable[[str], dict[str, Any]]


class RestRequest(Request):
    """A werkzeug request whose body is bounded."""

    max_content_length = MAX_BODY


@dataclass(frozen=True, slots=True)
class Media:
    """How the answer is to be written."""

    single: bool = False
    strip_nulls: bool = False
    csv: bool = False

    @property
    def content_type(self) -> str:
        """The value of Content-Type."""
        if self.csv:
            return f"{CSV_TYPE}; charset=utf-8"
        kind = "vnd.pgrst.object+json" if self.single else "json"
        if self.strip_nulls:
            kind = f"vnd.pgrst.{'object' if self.single else 'array'}+json; nulls=stripped"
        return f"application/{kind}; charset=utf-8"


class Call:
    """The request and what is derived from it, each part when it is first needed."""

    def __init__(self, request: RestRequest, verify_token: Verify, max_rows: int | None = None) -> None:
        self.request = request
        self.max_rows = max_rows
        self.method = request.method
        self._verify_token = verify_token
        # Whether the plan may take something for granted that the database then checks.
        self.may_guess = True

    @cached_property
    def identity(self) -> Identity:
        """Who asks; without a token the role is anon."""
        claims = self._verify_claims()
        headers = {name.lower(): value for name, value in self.request.headers.items()}
        return Identity(
            role=str(claims.get("role") or "anon"),
            claims=_dump(claims),
            method=self.method,
            path=self.request.path,
            headers=_dump(headers),
            cookies=_dump(dict(self.request.cookies)),
        )

    @cached_property
    def preferences(self) -> Preferences:
        """The Prefer headers."""
        return parse_prefer(self.request.headers.getlist("Prefer"))

    @cached_property
    def media(self) -> Media:
        """The first media type of Accept that can be served."""
        accepted = self.request.headers.get("Accept") or "*/*"
        for offer in accepted.split(","):
            kind, *parameters = (part.strip().lower() for part in offer.split(";"))
            if kind == CSV_TYPE:
                return Media(csv=True)
            if kind in OBJECT_TYPES or kind in ARRAY_TYPES:
                return Media(single=kind in OBJECT_TYPES, strip_nulls="nulls=stripped" in parameters)
        raise RestError(406, "PGRST107", f"None of these media types are available: {accepted}")

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The query string, decoded."""
        return list(self.request.args.items(multi=True))

    def parse_query(self, pairs: list[tuple[str, str]]) -> Query:
        """The query string, or what a function left of it, with the Range header applied to a GET."""
        query = parse_query(pairs)
        if self.method in READING:
            apply_range(query.node, self.request.headers.get("Range"))
        return query

    def body(self) -> bytes:
        """The body; 413 past MAX_BODY."""
        try:
            return self.request.get_data(cache=False)
        except RequestEntityTooLarge:
            raise RestError(
                413, "PGRST102", f"The body is larger than {MAX_BODY} bytes, the most this server reads."
            ) from None

    def check_content_type(self) -> None:
        """The body is JSON, or says nothing; `curl -d` without a header says that it is a form."""
        given = self.request.mimetype
        if given in OTHER_BODIES:
            raise refuse_feature(f"a body of {given}; send application/json")
        if given not in CONTENT_TYPES:
            raise RestError(400, "PGRST102", f"Content-Type not acceptable: {given}")

    def check_profile(self) -> None:
        """Only `public` is exposed; a client that asks for another schema is told so."""
        name = PROFILE.get(self.method, "Content-Profile")
        schema = self.request.headers.get(name, "public")
        if schema != "public":
            hint = "Only the following schemas are exposed: public"
            raise RestError(406, "PGRST106", f"Invalid schema: {schema}", hint=hint)

    def _verify_claims(self) -> dict[str, Any]:
        authorization = self.request.headers.get("Authorization")
        found = BEARER.fullmatch(authorization.strip()) if authorization else None
        token = found.group(1) if found else self.request.headers.get("apikey")
        if not token:
            return {}
        try:
            return self._verify_token(token)
        except ValueError as error:
            raise refuse_token(str(error)) from error


def _dump(document: dict[str, Any]) -> str:
    return orjson.dumps(document, default=str).decode()
