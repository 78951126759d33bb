"""TLS to a broker: the context from PEM texts, and its failures in an admin's words."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from shared.provider.tls import Tls
from shared.runtime.errors import TlsFailed

HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED."""


class CertificateExpired(TlsFailed):
    """The broker's certificate has ended; have it renewed there."""

    code = "certificate_expired"


def make_context(tls: Tls) -> ssl.SSLContext:
    """A verifying client context for `tls`; with a CA certificate only that one is trusted. TlsFailed if unusable."""
    try:
        context = ssl.create_default_context(cadata=tls.ca_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise TlsFailed(f"The CA certificate can't be used: {_find_words(error)}.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    if tls.client_certificate and tls.client_key:
        try:
            _load_client(context, tls.client_certificate, tls.client_key, tls.client_key_passphrase)
        except (ssl.SSLError, ValueError) as error:
            raise TlsFailed(f"The client certificate and key can't be used: {_find_words(error)}.") from None
    return context


def _load_client(context: ssl.SSLContext, certificate: str, key: str, passphrase: str | None) -> None:
    # load_cert_chain reads files only. mkdtemp makes the folder 0700; it is gone before this returns.
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{certificate}\n{key}")
        # Never none: OpenSSL would ask for it at the terminal.
        context.load_cert_chain(path, password=passphrase or "")


def explain_failure(error: OSError, host: str, who: str) -> TlsFailed:
    """What went wrong in a handshake or on a connection with `who` is at `host`, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        make = CertificateExpired if error.verify_code == HAS_EXPIRED else TlsFailed
        return make(
            f"The {who}'s certificate was refused: {error.verify_message.rstrip('.')}. Check that it is current, "
            f"made for {host}, and signed by a public authority or by the given CA certificate."
        )
    return TlsFailed(_explain_reason(error).replace("broker", who))


def _explain_reason(error: OSError) -> str:
    reason = _find_words(error)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "The broker ended the TLS connection without a word; it may want a client certificate."
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return "The broker wants a client certificate: set client_certificate and client_key."
    if "ALERT" in reason:
        return f"The broker refused the TLS handshake ({reason}); check the client certificate and its CA."
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return "The broker does not speak TLS on this port; check the port and use_tls."
    return f"The TLS handshake failed ({reason})."


def _find_words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
