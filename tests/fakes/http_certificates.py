"""A certificate authority of the tests' own, so that TLS is tested with TLS."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Issues certificates that only those trust who are given its `pem`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        draft = _begin_certificate(self._name, self._name, self._key.public_key(), days=1)
        draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = draft.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """What to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue_server(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        """A server's TLS with a certificate for `name` (or an address), valid for `days`; negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        draft = _begin_certificate(subject, self._name, key.public_key(), days=days)
        draft = draft.add_extension(x509.SubjectAlternativeName([_make_name(name)]), critical=False)
        certificate = draft.sign(self._key, hashes.SHA256())
        return _load_server(certificate, key)


def _begin_certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )


def _make_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_server(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context
