"""TLS as a config has it: whom we trust, what we show of ourselves. What costs time to import is imported when used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.runtime.errors import TlsFailed

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Tls:
    """How to do TLS: PEM texts, the name to verify (None: the broker's host) and the ALPN protocols to offer."""

    ca_certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    client_key_passphrase: str | None = field(default=None, repr=False)
    server_name: str | None = None
    alpn: tuple[str, ...] = ()


def make_tls_context(tls: Tls) -> ssl.SSLContext:
    """A verifying client context for `tls`; with a CA certificate only that one is trusted. TlsFailed if unusable."""
    from shared.provider.tls.context import make_context

    return make_context(tls)


def explain_tls_failure(error: OSError, host: str, who: str = "broker") -> TlsFailed:
    """What went wrong in a handshake with `who` is at `host`, or on a connection, and what to do."""
    from shared.provider.tls.context import explain_failure

    return explain_failure(error, host, who)


def read_authorities(text: str) -> str:
    """The certificates in `text` as PEM, each once. ValueError in words."""
    from shared.provider.tls import credentials

    return credentials.read_authorities(text)


def read_chain(text: str) -> str:
    """The certificates in `text` as PEM, each once and before the one that issued it. ValueError in words."""
    from shared.provider.tls import credentials

    return credentials.read_chain(text)


def read_key(text: str, passphrase: str | None = None, chain: str | None = None) -> str:
    """The private key in `text` as PEM, as encrypted as it was.

    ValueError in words, also where it does not open or is not that of the first certificate in `chain`.
    """
    from shared.provider.tls import credentials

    return credentials.read_key(text, passphrase, chain)


def decrypt_key(pem: str, passphrase: str | None) -> bytes:
    """A key that `read_key` took, as PEM without a passphrase."""
    from shared.provider.tls import credentials

    return credentials.decrypt_key(pem, passphrase)
