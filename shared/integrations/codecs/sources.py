"""Lending codecs to providers: read as they are now, and only those of the integration's own organization."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from typing_extensions import TypedDict

from shared.codecs.codec import Codec
from shared.codecs.recent import Recent
from shared.provider import CodecUser, Provider
from shared.runtime.database.client import Database, as_service
from shared.runtime.errors import FieldError, InvalidConfig

KEPT = 64
"""Sources that a process remembers; each is at most 256 KB."""


class CodecSource(TypedDict):
    """What `codec_sources` answers of a codec; no source where its version is the one that is known."""

    id: str
    organization_id: str
    kind: str
    version: int
    source: str | None


class _OwnSource(TypedDict):
    kind: str
    source: str


_known: Recent[CodecSource] = Recent(KEPT)
_lock = threading.Lock()


def lend_codecs(provider: Provider) -> None:
    """Have the provider of an integration find its codecs, as the service does."""
    if isinstance(provider, CodecUser):
        provider.use_codecs(partial(_find_codec, provider.identity.organization_id))


def lend_own_codecs(provider: Provider, database: Database) -> None:
    """The same, on behalf of a user: with the rights that `database` has."""
    if isinstance(provider, CodecUser):
        provider.use_codecs(partial(_read_codec, provider.identity.organization_id, database))


def _find_codec(organization_id: str, codec_id: str, state: Mapping[str, Any]) -> Codec:
    key = f"{organization_id} {codec_id}"
    with _lock:
        known = _known.take(key) if key in _known else None
    wanted = {"id": codec_id, "organization_id": organization_id, "version": known and known["version"]}
    rows: list[CodecSource] = as_service().call("codec_sources", p_wanted=[wanted])
    if not rows:
        raise _miss()
    row = rows[0]
    if row["source"] is None and known:
        row["source"] = known["source"]
    with _lock:
        _known.put(key, row)
    return Codec(organization_id, row["kind"], row["source"] or "", state)


def _read_codec(organization_id: str, database: Database, codec_id: str, state: Mapping[str, Any]) -> Codec:
    query = {"id": f"eq.{codec_id}", "organization_id": f"eq.{organization_id}"}
    rows = database.read(_OwnSource, "codecs", query)
    if not rows:
        raise _miss()
    return Codec(organization_id, rows[0]["kind"], rows[0]["source"], state)


def _miss() -> InvalidConfig:
    return InvalidConfig(
        errors=[FieldError("codec", "The organization of this integration has no such codec.")]
    )
