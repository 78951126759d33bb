"""What a client shows of itself in TLS and whom it trusts, read when it is saved: as it is needed, or refused in words.

Keys may be PKCS#8, PKCS#1 or SEC1, with a passphrase or without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.provider.tls.pem import DAMAGED, Block, read_blocks

CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
KEYS = frozenset({"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})
PARAMETERS = frozenset({"EC PARAMETERS", "DH PARAMETERS"})
"""What openssl writes beside a key and nobody needs."""

LEAST_RSA_BITS, MOST_RSA_BITS = 2_048, 8_192
"""With fewer OpenSSL refuses to connect, as it is set up in most places; with more each handshake takes a second."""

MOST_AUTHORITIES = 300
MOST_IN_CHAIN = 20

MOST_ITERATIONS = 200_000
MOST_SCRYPT = 262_144
"""Of n times r times p: 32 MB, which is also where OpenSSL stops."""

_SCRYPT = bytes.fromhex("06092b06010401da47040b")

_REMEDIES = {
    "OPENSSH PRIVATE KEY": "an OpenSSH key; convert it: ssh-keygen -p -m PKCS8 -f key",
    "CERTIFICATE REQUEST": "a request for a certificate; paste what the authority answered it with",
    "NEW CERTIFICATE REQUEST": "a request for a certificate; paste what the authority answered it with",
    "PUBLIC KEY": "a public key; paste the certificate",
    "PKCS7": "a PKCS#7 file; convert it: openssl pkcs7 -print_certs -in file.p7b",
    "TRUSTED CERTIFICATE": "a certificate with OpenSSL's own additions; convert it: openssl x509 -in file.pem",
    "X509 CRL": "a list of revoked certificates, which is not used here; take it out",
}


def read_authorities(text: str) -> str:
    """The certificates in `text` as PEM, each once. ValueError in words."""
    return _write_certificates(_read_certificates(text, MOST_AUTHORITIES))


def read_chain(text: str) -> str:
    """The certificates in `text` as PEM, each once and before the one that issued it. ValueError in words."""
    return _write_certificates(_sort_chain(_read_certificates(text, MOST_IN_CHAIN)))


def read_key(text: str, passphrase: str | None = None, chain: str | None = None) -> str:
    """The private key in `text` as PEM, as encrypted as it was.

    ValueError in words, also where it does not open or is not that of the first certificate in `chain`.
    """
    blocks = read_blocks(text)
    keys = [block for block in blocks if block.label.endswith("PRIVATE KEY")]
    if not keys and any(block.label in CERTIFICATES for block in blocks):
        raise ValueError("this is a certificate; it goes into client_certificate, and its private key here")
    if not keys:
        raise ValueError("paste the key as PEM text, beginning with -----BEGIN PRIVATE KEY-----")
    if len(keys) > 1:
        raise ValueError(f"this holds {len(keys)} private keys; leave the one of client_certificate")
    if keys[0].label not in KEYS:
        raise ValueError(_explain_label(keys[0].label))
    opened = _open_key(keys[0], passphrase)
    if isinstance(opened, RSAPrivateKey):
        _check_rsa(opened)
    if chain:
        _check_pair(chain, opened)
    return keys[0].write()


def decrypt_key(pem: str, passphrase: str | None) -> bytes:
    """A key that `read_key` took, as PEM without a passphrase."""
    return _load_key(pem, passphrase).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read_certificates(text: str, most: int) -> list[x509.Certificate]:
    blocks = read_blocks(text)
    labels = {block.label for block in blocks}
    if any(label.endswith("PRIVATE KEY") for label in labels):
        raise ValueError(
            "this holds a private key, which everyone would be shown: take it out, it goes into client_key"
        )
    if wrong := labels - CERTIFICATES - PARAMETERS:
        raise ValueError(_explain_label(min(wrong)))
    contents = dict.fromkeys(block.content for block in blocks if block.label in CERTIFICATES)
    if not contents:
        raise ValueError("paste the certificate as PEM text, beginning with -----BEGIN CERTIFICATE-----")
    if len(contents) > most:
        raise ValueError(f"this holds {len(contents)} certificates; {most} at most")
    return list(map(_load_certificate, contents))


def _load_certificate(content: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(content)
        _write_public_key(certificate)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"a certificate in it can't be read: {DAMAGED}") from None
    return certificate


def _sort_chain(left: list[x509.Certificate]) -> Iterator[x509.Certificate]:
    issuers = {each.issuer for each in left if each.issuer != each.subject}
    while left:
        this = next((each for each in left if each.subject not in issuers), left[0])
        while this in left:
            yield this
            left.remove(this)
            this = next((each for each in left if each.subject == this.issuer), this)


def _write_certificates(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(Block("CERTIFICATE", each.public_bytes(Encoding.DER)).write() for each in certificates)


def _open_key(block: Block, passphrase: str | None) -> PrivateKeyTypes:
    is_encrypted = bool(block.legacy) or block.label == "ENCRYPTED PRIVATE KEY"
    if is_encrypted and not passphrase:
        raise ValueError(
            "the key is encrypted: set client_key_passphrase too, or give the key without a passphrase; "
            "both are stored sealed"
        )
    if is_encrypted:
        _bound_work(block)
    secret = passphrase if is_encrypted else None
    try:
        return _load_key(block.write(), secret)
    except UnsupportedAlgorithm:
        raise ValueError(
            "this kind of key, or its encryption, is not supported; "
            "convert it: openssl pkcs8 -topk8 -in key.pem -out new.pem"
        ) from None
    except (ValueError, TypeError):
        wrong = "client_key_passphrase does not open it, or " if is_encrypted else ""
        raise ValueError(f"{wrong}{DAMAGED}") from None


def _load_key(pem: str, passphrase: str | None = None) -> PrivateKeyTypes:
    # Whether RSA's numbers are primes is not looked into: for the seconds that takes nobody else in this process would
    # get a word in, and where TLS is done it is not either.
    secret = passphrase.encode() if passphrase else None
    return load_pem_private_key(pem.encode(), secret, unsafe_skip_rsa_key_validation=True)


def _check_rsa(key: RSAPrivateKey) -> None:
    if key.key_size < LEAST_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits is not let into TLS any more; make one of 2048")
    if key.key_size > MOST_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits takes too long to sign with; make one of 2048")
    numbers = key.private_numbers()
    p, q, public = numbers.p, numbers.q, numbers.public_numbers
    if p * q != public.n or 1 in {p, q} or any(numbers.d * public.e % (each - 1) != 1 for each in (p, q)):
        raise ValueError(DAMAGED)


def _bound_work(block: Block) -> None:
    """Refuse a key whose passphrase is stretched for minutes: opening it would hold up everybody."""
    numbers = [] if block.legacy else list(_list_integers(block.content))
    work, limit = numbers[:1], MOST_ITERATIONS
    if _SCRYPT in block.content:
        work, limit = numbers[:3], MOST_SCRYPT
    if prod(work) > limit:
        raise ValueError(
            "its passphrase is stretched too long to open it for every connection; "
            "convert it: openssl pkcs8 -topk8 -iter 100000 -in key.pem -out new.pem"
        )


def _list_integers(der: bytes) -> Iterator[int]:
    """The numbers in `der`, in their order, as far as it goes."""
    at = 0
    while at + 1 < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length > 0x80:  # noqa: PLR2004 - DER's long form
            size = length - 0x80
            length, at = int.from_bytes(der[at : at + size]), at + size
        if tag & 0x20:
            continue
        if tag == 0x02:  # noqa: PLR2004 - DER's INTEGER
            yield int.from_bytes(der[at : at + length])
        at += length


def _check_pair(chain: str, key: PrivateKeyTypes) -> None:
    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificates = x509.load_pem_x509_certificates(chain.encode())
    places = [place for place, each in enumerate(certificates, start=1) if _write_public_key(each) == own]
    if not places:
        raise ValueError("the key is not that of client_certificate; give the two that were made together")
    if places[0] > 1:
        raise ValueError(
            f"the key is that of certificate {places[0]} in client_certificate; leave out the others"
        )


def _write_public_key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _explain_label(label: str) -> str:
    remedy = _REMEDIES.get(label, "a block of another kind; leave certificates, or the private key, only")
    return f"this holds {remedy}"
