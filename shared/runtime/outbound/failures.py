"""What came instead of a reply, in an admin's words. They name the host and the remedy, nothing that was sent."""

from __future__ import annotations

import errno
import ssl

import aiohttp

from shared.runtime.errors import AddressBlocked, OutsideError, ProtocolFailed, TimedOut, TlsFailed
from shared.runtime.outbound.heads import NoStatusError
from shared.runtime.outbound.names import describe_connect_error

FAILURES = (aiohttp.ClientError, NoStatusError, OSError)
"""What is raised in place of a reply."""

_CERTIFICATE_WORDS = {
    9: "is not valid yet; check the server's clock",
    10: "has expired; renew it",
    18: "is signed by itself; use one from a public authority",
    19: "was issued by an authority that is not trusted; use one from a public authority",
    20: "was issued by an unknown authority, or the server leaves out the chain; send the full chain",
    21: "could not be traced to an authority; let the server send the full chain",
    23: "was revoked; replace it",
    62: "is for another host; check the url, or issue a certificate for this name",
    64: "is for another host; check the url, or issue a certificate for this address",
}
"""By OpenSSL's verify code, X509_V_ERR_*."""


class AddressRefusedError(OSError):
    """A socket that was not opened; `objection` says why. An OSError, because aiohttp passes those on."""

    def __init__(self, objection: str) -> None:
        super().__init__(errno.EACCES, objection)
        self.objection = objection


def describe_failure(error: Exception, host: str, port: int) -> OutsideError:
    """The error to raise where `error` came instead of a reply of `host`."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError):
        return _describe_connecting(error, host, port)
    if isinstance(error, NoStatusError):
        return ProtocolFailed(f"{host} {error}.")
    if isinstance(error, aiohttp.InvalidURL):
        return AddressBlocked(f"{host} is not a host that can be reached; check the url.")
    return ProtocolFailed(f"{host} closed the connection before its reply was complete; look into its log.")


def _describe_connecting(error: OSError, host: str, port: int) -> OutsideError:
    cause: OSError = getattr(error, "certificate_error", getattr(error, "os_error", error))
    if isinstance(cause, AddressRefusedError):
        return AddressBlocked(f"{host} {cause.objection}.")
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = _CERTIFICATE_WORDS.get(cause.verify_code, f"was refused ({cause.verify_message})")
        return TlsFailed(f"The certificate of {host} {words}.")
    if isinstance(cause, ssl.SSLError):
        reason = (cause.reason or "unknown").replace("_", " ").lower()
        return TlsFailed(
            f"The TLS handshake with {host} on port {port} failed ({reason}); is that a TLS port?"
        )
    if isinstance(cause, ConnectionResetError | ConnectionAbortedError):
        return TlsFailed(
            f"{host} closed the connection during the TLS handshake on port {port}; is that a TLS port?"
        )
    if isinstance(cause, TimeoutError):
        return TimedOut(f"{host} did not accept the connection on port {port} in time.")
    return describe_connect_error(host, port, cause)
