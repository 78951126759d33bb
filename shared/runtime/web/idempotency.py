"""`Idempotency-Key`: a POST that is sent again gets the first one's reply, for 24 hours.

What is kept of the request is a hash, sealed by the vault: a body holds secrets, and a bare hash would let them be
guessed. Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import re

import orjson
from pydantic import BaseModel
from werkzeug.datastructures import Headers

from shared.runtime.errors import BadRequest, IdempotencyMismatch, VaultError
from shared.runtime.exact_json import write_json
from shared.runtime.vault.ring import SealContext, load_vault

KEY = re.compile(r"[ !#-~][ -~]{0,254}")


def read_key(headers: Headers) -> str | None:
    """The key, with or without the draft's quotes; None where there is none, BadRequest where it is malformed."""
    given = headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given.strip().removeprefix('"').removesuffix('"')
    if not KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID.")
    return key


def seal_fingerprint(body: BaseModel, context: SealContext) -> str:
    """What to keep of a request to know it by."""
    return load_vault().seal({"sha256": _hash_body(body)}, context)


def check_fingerprint(kept: str, body: BaseModel, context: SealContext) -> None:
    """IdempotencyMismatch unless `kept` is of the same request."""
    try:
        same = load_vault().open(kept, context) == {"sha256": _hash_body(body)}
    except VaultError:
        # Its key has left the ring: then what the first request was can't be known any more.
        same = False
    if not same:
        raise IdempotencyMismatch


def bind_fingerprint(user_id: str, key: str) -> SealContext:
    """What a fingerprint belongs to: it opens for no other user and no other key."""
    return SealContext(user_id, key, "idempotency")


def _hash_body(body: BaseModel) -> str:
    plain = write_json(body.model_dump(), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(plain).hexdigest()
