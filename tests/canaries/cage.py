"""Unique values in the forms that secrets have, and the cage that knows them again in any text."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

PIECE = 12
"""Characters of a canary that give it away: letters and digits, which JSON, HTML and URLs leave as they are."""

_RUN = re.compile(rf"[A-Za-z0-9]{{{PIECE},}}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}")
_HEX = re.compile(r"(?:[0-9a-f]{2}){12,}|(?:[0-9A-F]{2}){12,}")


@dataclass
class Cage:
    """Every canary made so far, by its pieces."""

    pieces: set[str] = field(default_factory=set)

    def make(self, *, spicy: bool = False) -> str:
        """A new one; `spicy` puts between its halves what JSON, HTML and URLs write in another way."""
        halves = (f"canary{secrets.token_hex(8)}", secrets.token_hex(10))
        return self.keep(('"\\/+&<%41=' if spicy else "").join(halves))

    def keep(self, value: str, known: str = "") -> str:
        """Know `value` again, but for what is in `known` too."""
        self.pieces |= set(list_pieces(value)) - set(list_pieces(known))
        return value

    def forget(self, public: str) -> str:
        """Know nothing again that is in `public`: a certificate has half of what its private key has.

        In one line too: escaped, a line break ends in a letter that may be just what the next line has before it.
        """
        whole = (public, "".join(public.split()))
        self.pieces -= {piece for text in whole for form in _list_forms(text) for piece in list_pieces(form)}
        return public

    def hears(self, text: str) -> bool:
        """Whether a canary is in `text`: as it is, escaped, as base64 (of more than itself too) or in hex."""
        return any(not self.pieces.isdisjoint(list_pieces(form)) for form in _list_forms(text))


def list_pieces(text: str) -> Iterator[str]:
    """Every stretch of PIECE letters and digits."""
    for run in _RUN.findall(text):
        yield from (run[start : start + PIECE] for start in range(len(run) - PIECE + 1))


def list_candidates(cage: Cage, sample: str | None = None) -> Iterator[str]:
    """Canaries in the forms a secret may have to have, likely ones first; like `sample` where one is given."""
    if sample and "-----BEGIN" in sample:
        yield cage.keep(_make_pem(sample), sample)
        return
    if sample and sample.startswith("whsec_"):
        yield cage.keep("whsec_" + _make_base64(24))
    yield cage.make(spicy=True)
    yield cage.make()
    yield cage.keep(_make_base64(33))
    yield cage.keep(secrets.token_hex(32))
    if sample:
        yield cage.keep("".join(map(_replace_character, sample)), sample)
    else:
        yield cage.keep("whsec_" + _make_base64(24))
        yield cage.keep(_make_pem(""))


def _list_forms(text: str) -> Iterator[str]:
    yield text
    for run in _BASE64.findall(text.replace("-", "+").replace("_", "/")):
        for start in range(4):
            part = run[start:]
            yield binascii.a2b_base64(part[: len(part) // 4 * 4]).decode("latin-1")
    for run in _HEX.findall(text):
        yield bytes.fromhex(run).decode("latin-1")


def _make_base64(count: int) -> str:
    # Without + and /, so that no way of writing it breaks it into pieces.
    while not (made := base64.b64encode(secrets.token_bytes(count)).decode()).isalnum():
        pass
    return made


def _make_pem(sample: str) -> str:
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    key = ec.generate_private_key(ec.SECP256R1())
    style = serialization.PrivateFormat.PKCS8
    if "PRIVATE KEY" in sample:
        like = serialization.load_pem_private_key(sample.encode(), None)
        if isinstance(like, rsa.RSAPrivateKey):
            key = rsa.generate_private_key(65537, like.key_size)
        if "BEGIN PRIVATE" not in sample:
            style = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, style, serialization.NoEncryption()).decode()


def _replace_character(character: str) -> str:
    for alphabet in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if character in alphabet:
            return secrets.choice(alphabet)
    return character
