"""A certificate authority that hands out PEM, as files and texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: str


class PemAuthority:
    """A certificate authority that hands out PEM."""

    def __init__(self, name: str = "Test Authority", days: int = 365) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _make_name(name)
        draft = _begin(self._name, self._name, self._key.public_key(), days=days)
        draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.pem = draft.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, common_name: str, *, address: str = "127.0.0.1", days: int = 365) -> Pair:
        """A certificate for `address` (or a host's name) under `common_name`, valid for `days`; negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _begin(_make_name(common_name), self._name, key.public_key(), days=days)
        names = x509.SubjectAlternativeName([_make_address(address)])
        certificate = draft.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), secret.decode())

    def write_listener(self, folder: Path, pair: Pair, *extra: str) -> list[str]:
        """The lines that make a mosquitto listener speak TLS with `pair`; its files go to `folder`."""
        for name, text in (("ca", self.pem), ("server", pair.certificate), ("key", pair.key)):
            (folder / f"{name}.pem").write_text(text)
        files = [f"cafile {folder}/ca.pem", f"certfile {folder}/server.pem", f"keyfile {folder}/key.pem"]
        return ["allow_anonymous true", *files, *extra]


def certify_key(pem: str) -> str:
    """A certificate for the private key in `pem`, signed by itself."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("only for keys as PemAuthority makes them")
    name = _make_name("client")
    draft = _begin(name, name, key.public_key(), days=365)
    return draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def lock_key(pem: str, passphrase: str) -> str:
    """The private key in `pem`, encrypted with `passphrase`."""
    return (
        serialization.load_pem_private_key(pem.encode(), None)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode()),
        )
        .decode()
    )


def _make_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _make_address(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )
