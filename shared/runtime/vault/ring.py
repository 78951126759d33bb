"""Credentials at rest: AES-256-GCM under a ring of keys, each sealed value bound to its row, its use and its counter.

A sealed value is text, `<key id>.<base64url(nonce ‖ ciphertext ‖ tag), no padding>`. The additional data is the JSON of
`["device-integrations", 2, key id, organization, integration, type, use, counter, destination…]`, so a value that was
moved to another row, put back later or pointed elsewhere does not open.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shared.runtime.errors import SealMismatch, VaultError
from shared.runtime.vault.keys import KEY_BYTES, NEW_KEY_COMMAND, read_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FORMAT = 2
NONCE_BYTES = 12
TAG_BYTES = 16

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


@dataclass(frozen=True, slots=True)
class SealContext:
    """What a sealed value belongs to: its row, what it is used for, the row's counter, and where it may be sent.

    Ids are UUIDs as text; their letter case does not matter. `destination` is empty for what never leaves.
    """

    organization_id: str
    integration_id: str
    integration_type: str
    use: str = ""
    seal_count: int = 0
    destination: tuple[str, ...] = ()


class Vault:
    """A ring of keys: the first seals, all open. Never shows key material."""

    __slots__ = ("_keys", "_primary")

    def __init__(self, keys: Mapping[str, AESGCM]) -> None:
        self._keys = dict(keys)
        self._primary = next(iter(self._keys))

    @classmethod
    def from_text(cls, text: str) -> Vault:
        """The ring in `text`, `<id>:<base64url of 32 bytes>` separated by commas, the primary key first.

        RuntimeError names INTEGRATION_KEYS and the position of what is wrong, never the key.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not text.strip():
            raise RuntimeError(f"INTEGRATION_KEYS is empty; make a key with: {NEW_KEY_COMMAND}")
        keys: dict[str, AESGCM] = {}
        for position, entry in enumerate(text.split(","), start=1):
            key_id, key = _parse_entry(entry.strip(), position)
            if key_id in keys:
                raise _ring_error(
                    position, f"uses the id {key_id!r} a second time; every key needs its own id"
                )
            keys[key_id] = AESGCM(key)
        return cls(keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys, the one that seals first."""
        return tuple(self._keys)

    def seal(self, secrets: Mapping[str, Any], context: SealContext) -> str:
        """`secrets`, any JSON object, as sealed text. TypeError or ValueError where it is not JSON.

        Give it the plain input: a pydantic model dumped as JSON has asterisks where its secrets were.
        """
        plain = json.dumps(dict(secrets), separators=(",", ":"), allow_nan=False).encode()
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._keys[self._primary].encrypt(nonce, plain, _bind_context(self._primary, context))
        return f"{self._primary}.{_encode(nonce + sealed)}"

    def open(self, sealed: str, context: SealContext) -> dict[str, Any]:
        """The JSON object that `seal` was given for the same context; VaultError says why it won't open."""
        from cryptography.exceptions import InvalidTag

        key_id, box = _split_sealed(sealed)
        key = self._keys.get(key_id)
        if key is None:
            raise VaultError(
                f"The stored credentials were sealed with key {key_id!r}, which is not in INTEGRATION_KEYS; "
                "put that key back behind the primary one, or enter the credentials again."
            )
        try:
            plain = key.decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], _bind_context(key_id, context))
        except InvalidTag:
            raise SealMismatch(
                f"The stored credentials do not open with key {key_id!r}: they were changed, moved from another "
                "integration, put back after a change, or sealed with another key of that id. Enter them again."
            ) from None
        opened: dict[str, Any] = json.loads(plain)
        return opened

    def reseal(self, sealed: str, context: SealContext) -> str:
        """The same secrets sealed anew with the primary key; VaultError where they do not open."""
        return self.seal(self.open(sealed, context), context)

    def __repr__(self) -> str:
        return f"Vault(primary={self._primary!r}, keys={len(self._keys)})"


@cache
def load_vault() -> Vault:
    """The vault of this process; a changed ring needs a new process.

    RuntimeError where there is no ring or it is malformed; Unavailable while the database that holds it is away.
    """
    return Vault.from_text(read_keys())


def _bind_context(key_id: str, context: SealContext) -> bytes:
    row = (context.organization_id.lower(), context.integration_id.lower(), context.integration_type)
    bound = (*row, context.use, context.seal_count, *context.destination)
    return json.dumps(["device-integrations", FORMAT, key_id, *bound]).encode()


def _parse_entry(entry: str, position: int) -> tuple[str, bytes]:
    key_id, colon, encoded = entry.partition(":")
    if not colon or not _KEY_ID.match(key_id):
        raise _ring_error(
            position, "is not <id>:<key>, the id being 1 to 32 of the characters A-Z a-z 0-9 _ -"
        )
    key = _decode(encoded.rstrip("="))
    if key is None or len(key) != KEY_BYTES:
        raise _ring_error(
            position, f"must hold {KEY_BYTES} bytes as base64url; make one with: {NEW_KEY_COMMAND}"
        )
    return key_id, key


def _ring_error(position: int, problem: str) -> RuntimeError:
    return RuntimeError(f"INTEGRATION_KEYS: entry {position} {problem}.")


def _split_sealed(sealed: str) -> tuple[str, bytes]:
    key_id, _, encoded = sealed.partition(".")
    box = _decode(encoded)
    if not _KEY_ID.match(key_id) or box is None or len(box) < NONCE_BYTES + TAG_BYTES:
        raise VaultError(
            "The stored credentials are not in the form this project seals them in; enter them again."
        )
    return key_id, box


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes | None:
    """The bytes of unpadded base64url, None for every spelling but the one `_encode` writes.

    b64decode skips foreign characters and ignores the spare bits of the last one: a changed token would open.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return data if _encode(data) == text else None
