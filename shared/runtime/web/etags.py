"""Conditional requests (RFC 9110, section 13): `If-Match` against lost updates, `If-None-Match` to save the body.

A tag is `"<version>.<hash of the body>"`. If-Match compares the version alone: what the scheduler reports between an
admin's reading and writing is in the body, but changes nothing that the admin could overwrite. If-None-Match compares
the whole, so that no report is missed.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from shared.runtime.exact_json import write_json

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_VERSION = re.compile(r"([0-9]{1,9})\.")


def make_tag(version: int, body: Any) -> str:
    """The ETag of a JSON body that shows this version."""
    return f'"{version}.{hashlib.sha256(write_json(body)).hexdigest()[:16]}"'


def list_versions(if_match: str | None) -> list[int] | None:
    """The versions that `If-Match` accepts; None where it is absent or `*`, and any will do.

    Weak tags count too: proxies that compress weaken the tags they pass on.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    versions = (_VERSION.match(tag) for tag in _TAG.findall(if_match))
    return [int(version[1]) for version in versions if version]


def names_tag(if_none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag, so that its sender has the body already."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag.strip('"') in _TAG.findall(if_none_match)
