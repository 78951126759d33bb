"""Requests for certificates (PKCS #10): a device's own, or one that is made with a new key."""

from __future__ import annotations

from shared.runtime.errors import BadRequest, FieldError

COMMON_NAME_LENGTH = 64


def check_request(csr: str) -> str:
    """`csr` (PEM) where it is signed by the key that it is for; else BadRequest."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        is_signed = x509.load_pem_x509_csr(csr.encode()).is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        is_signed = False
    if not is_signed:
        raise BadRequest(
            errors=[FieldError("csr", "Send a certificate request in PEM, as openssl req -new writes it.")]
        )
    return csr


def make_request(name: str) -> tuple[str, str]:
    """A request for a device of that name, and its private key, both in PEM; the key is a new one, on P-256."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:COMMON_NAME_LENGTH] or "device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return request.public_bytes(serialization.Encoding.PEM).decode(), pem.decode()
