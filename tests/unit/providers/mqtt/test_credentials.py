"""Certificates and keys are read when they are saved: as people paste them, or refused by field and in words."""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provider import make_tls, make_tls_context
from shared.provider.catalogue import load_provider
from shared.provider.messages import Identity
from shared.providers.mqtt import Mqtt
from shared.providers.mqtt.certificates import list_warnings
from shared.runtime.errors import InvalidConfig
from tests.fakes.certificates import PemAuthority, lock_key

AUTHORITY = PemAuthority()
PAIR = AUTHORITY.issue("client")
PASSPHRASE = "correct horse, bätterie"
NOW = datetime.now(UTC)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


KEYS: dict[str, Key] = {
    "EC": ec.generate_private_key(ec.SECP256R1()),
    "EC 384": ec.generate_private_key(ec.SECP384R1()),
    "RSA": rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
STYLES = {
    "PKCS8": serialization.PrivateFormat.PKCS8,
    "TraditionalOpenSSL": serialization.PrivateFormat.TraditionalOpenSSL,
}


def load(**config: Any) -> Mqtt:
    """The provider of a config, which can also be used: its TLS context was made."""
    settings = {"broker_url": "mqtts://broker.example.com", "topics": "a/+"} | config
    provider = load_provider(settings, Identity("o", "i", "mqtt"))
    assert isinstance(provider, Mqtt)
    tls = provider.broker.tls
    assert tls
    make_tls_context(tls)
    list_warnings(tls, NOW)
    return provider


def find_refusal(**config: Any) -> tuple[str, str]:
    """The field and the words of the one refusal of a config."""
    with pytest.raises(InvalidConfig) as refusal:
        load(**config)
    (error,) = refusal.value.errors
    return error.field, error.message


@cache
def issue(
    key: Key,
    name: str = "client",
    issuer: tuple[str, Key] | None = None,
    days: tuple[int, int] = (-30, 365),
) -> str:
    """A certificate for `key`, signed by `issuer` or by itself, valid from the first to the last of `days`."""
    issuer_name, issuer_key = issuer or (name, key)
    draft = x509.CertificateBuilder(
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW + timedelta(days=days[0]),
        not_valid_after=NOW + timedelta(days=days[1]),
    )
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return draft.sign(issuer_key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


@cache
def write_key(key: Key, style: serialization.PrivateFormat, passphrase: str = "") -> str:
    lock = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, style, lock).decode()


def write_c_string(pem: str) -> str:
    lines = "\n".join(f'  "{line}\\n" \\' for line in pem.strip().splitlines())
    return f"static const char *cert = \\\n{lines};"


PASTED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "without a last line end": str.strip,
    "in Windows": lambda pem: pem.replace("\n", "\r\n"),
    "with returns alone": lambda pem: pem.replace("\n", "\r"),
    "behind a BOM": lambda pem: "\ufeff" + pem,
    "with \\n written out": lambda pem: pem.replace("\n", "\\n"),
    "with \\r\\n written out": lambda pem: pem.replace("\n", "\\r\\n"),
    "with \\n written out twice": lambda pem: pem.replace("\n", "\\\\n"),
    "in quotes with \\n written out": lambda pem: '"' + pem.replace("\n", "\\n") + '"',
    "indented": lambda pem: "\n".join(f"    {line}" for line in pem.splitlines()),
    "indented with tabs": lambda pem: "\n".join(f"\t{line}\t" for line in pem.splitlines()),
    "in one line with spaces": lambda pem: pem.replace("\n", " "),
    "in one line without": lambda pem: pem.replace("\n", ""),
    "with no-break spaces": lambda pem: pem.replace(" ", "\xa0").replace("\n", "\xa0\n"),
    "with empty lines": lambda pem: pem.replace("\n", "\n\n"),
    "in lines of 76": lambda pem: re.sub(r"(?<=[\w+/=])\n(?=[\w+/=])", "", pem),
    "with spaces that do not break": lambda pem: pem.replace("\n", "\n\xa0"),
    "with invisible characters": lambda pem: pem.replace("\n", "\u200b\n"),
    "with a comment in another language": lambda pem: f"# Zertifikat für Gerät №1 — gültig\n{pem}# ende ✓\n",
    "with what openssl says around it": lambda pem: (
        f"Bag Attributes\n    friendlyName: Büro\nsubject=CN = ü\n{pem}"
    ),
    "as a C string": write_c_string,
    "in base64 once more": lambda pem: base64.b64encode(pem.encode()).decode(),
    "in base64 once more, in lines": lambda pem: base64.encodebytes(pem.encode()).decode(),
    "without the signs that fill it up": lambda pem: pem.replace("=", ""),
}


@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
def test_what_is_pasted_is_stored_as_pem(paste: Callable[[str], str]) -> None:
    provider = load(
        ca_certificate=paste(AUTHORITY.pem),
        client_certificate=paste(PAIR.certificate),
        client_key=paste(PAIR.key),
    )

    assert provider.ca_certificate == AUTHORITY.pem
    assert provider.client_certificate == PAIR.certificate
    assert provider.client_key is not None
    assert provider.client_key.get_secret_value() == PAIR.key


@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
@pytest.mark.parametrize("style", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("name", ["EC", "RSA"])
def test_a_key_with_a_passphrase_is_pasted_alike(name: str, style: str, paste: Callable[[str], str]) -> None:
    key = KEYS[name]
    pem = write_key(key, STYLES[style], PASSPHRASE)

    provider = load(client_certificate=issue(key), client_key=paste(pem), client_key_passphrase=PASSPHRASE)

    assert provider.client_key is not None
    assert "ENCRYPTED" in provider.client_key.get_secret_value()


@pytest.mark.parametrize(
    ("name", "style"),
    [
        *((name, "PKCS8") for name in KEYS),
        *(("EC", "TraditionalOpenSSL"), ("EC 384", "TraditionalOpenSSL"), ("RSA", "TraditionalOpenSSL")),
    ],
)
def test_keys_of_every_kind_are_accepted(name: str, style: str) -> None:
    key = KEYS[name]

    provider = load(client_certificate=issue(key), client_key=write_key(key, STYLES[style]))

    assert provider.client_key is not None


def test_what_openssl_writes_beside_a_key_is_left_out() -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

    provider = load(client_certificate=PAIR.certificate, client_key=parameters + PAIR.key + PAIR.certificate)

    assert provider.client_key is not None
    assert provider.client_key.get_secret_value() == PAIR.key


def test_a_passphrase_beside_a_key_without_one_does_no_harm() -> None:
    load(client_certificate=PAIR.certificate, client_key=PAIR.key, client_key_passphrase="not needed")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_chain_is_sorted_from_the_client_to_the_root(order: tuple[int, ...]) -> None:
    root, middle, own = KEYS["EC"], KEYS["EC 384"], KEYS["RSA"]
    chain = [
        issue(own, "client", ("middle", middle)),
        issue(middle, "middle", ("root", root)),
        issue(root, "root"),
    ]

    provider = load(
        client_certificate="".join(chain[place] for place in order),
        client_key=write_key(own, serialization.PrivateFormat.PKCS8),
    )

    assert provider.client_certificate == "".join(chain)


def test_several_authorities_are_kept_each_once_in_their_order() -> None:
    others = [PemAuthority("One").pem, PemAuthority("Two").pem]

    provider = load(ca_certificate="".join([*others, AUTHORITY.pem, *others]))

    assert provider.ca_certificate == "".join([*others, AUTHORITY.pem])


def test_a_certificate_by_its_old_name_is_one() -> None:
    assert (
        load(ca_certificate=AUTHORITY.pem.replace("CERTIFICATE", "X509 CERTIFICATE")).ca_certificate
        == AUTHORITY.pem
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ((-30, -2), "The client certificate ended on "),
        ((2, 30), "The client certificate holds from "),
        ((-360, 5), "The client certificate ends on "),
    ],
    ids=["expired", "not valid yet", "ending"],
)
def test_a_certificate_out_of_its_time_is_a_warning_and_no_refusal(days: tuple[int, int], words: str) -> None:
    key = KEYS["EC"]

    provider = load(
        client_certificate=issue(key, days=days), client_key=write_key(key, serialization.PrivateFormat.PKCS8)
    )

    (warning,) = list_warnings(make_tls(vars(provider)), NOW)
    assert warning.startswith(words)
    assert "set a new client_certificate and client_key" in warning


def wrap(label: str, content: bytes = b"0\x00") -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(content).decode()}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "beginning with -----BEGIN CERTIFICATE-----"),
        (" ", "beginning with -----BEGIN CERTIFICATE-----"),
        ("LS0tLS1CRUdJTg==", "beginning with -----BEGIN CERTIFICATE-----"),
        (AUTHORITY.pem.replace("-----", "\u2014"), "beginning with -----BEGIN CERTIFICATE-----"),
        (AUTHORITY.pem[:-30], "the line -----END …----- of one block is missing"),
        (AUTHORITY.pem[:300], "the line -----END …----- of one block is missing"),
        (
            AUTHORITY.pem[:100] + AUTHORITY.pem[164:],
            "it is damaged or cut off; copy the whole file",
        ),
        (AUTHORITY.pem[:100] + "…" + AUTHORITY.pem[100:], "something else than base64"),
        (AUTHORITY.pem[:100] + AUTHORITY.pem, "the line -----END …----- of one block is missing"),
        (wrap("CERTIFICATE"), "can't be read"),
        (
            PAIR.key,
            "this holds a private key, which everyone would be shown: take it out, it goes into client_key",
        ),
        (PAIR.certificate + PAIR.key, "take it out, it goes into client_key"),
        (lock_key(PAIR.key, "p"), "take it out, it goes into client_key"),
        (wrap("OPENSSH PRIVATE KEY"), "take it out, it goes into client_key"),
        (
            wrap("CERTIFICATE REQUEST"),
            "a request for a certificate; paste what the authority answered it with",
        ),
        (wrap("PUBLIC KEY"), "a public key; paste the certificate"),
        (wrap("PKCS7"), "openssl pkcs7 -print_certs"),
        (wrap("TRUSTED CERTIFICATE"), "openssl x509"),
        (AUTHORITY.pem + wrap("X509 CRL"), "a list of revoked certificates"),
        (wrap("CANARY"), "a block of another kind"),
    ],
)
@pytest.mark.parametrize("field", ["ca_certificate", "client_certificate"])
def test_what_is_no_certificate_is_refused_with_its_remedy(field: str, text: str, words: str) -> None:
    other = {"client_key": PAIR.key} if field == "client_certificate" else {}

    named, message = find_refusal(**{field: text}, **other)

    assert named == field
    assert words in message
    assert "CANARY" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "beginning with -----BEGIN PRIVATE KEY-----"),
        (
            PAIR.certificate,
            "this is a certificate; it goes into client_certificate, and its private key here",
        ),
        (
            PAIR.key + AUTHORITY.issue("other").key,
            "this holds 2 private keys; leave the one of client_certificate",
        ),
        (PAIR.key[:-30], "the line -----END …----- of one block is missing"),
        (wrap("PRIVATE KEY"), "it is damaged or cut off; copy the whole file again"),
        (wrap("ENCRYPTED PRIVATE KEY"), "client_key_passphrase does not open it, or it is damaged"),
        (wrap("OPENSSH PRIVATE KEY"), "ssh-keygen -p -m PKCS8"),
        (wrap("DSA PRIVATE KEY"), "a block of another kind"),
        (
            AUTHORITY.issue("other").key,
            "the key is not that of client_certificate; give the two that were made",
        ),
        (lock_key(PAIR.key, "another"), "client_key_passphrase does not open it"),
        (write_key(KEYS["EC"], serialization.PrivateFormat.OpenSSH), "ssh-keygen -p -m PKCS8"),
    ],
)
def test_what_is_no_key_is_refused_with_its_remedy(text: str, words: str) -> None:
    named, message = find_refusal(
        client_certificate=PAIR.certificate, client_key=text, client_key_passphrase=PASSPHRASE
    )

    assert named == "client_key"
    assert words in message
    assert PASSPHRASE not in message


def test_the_key_of_another_certificate_of_the_chain_is_told_from_a_wrong_one() -> None:
    own, other = KEYS["EC"], KEYS["RSA"]

    named, message = find_refusal(
        client_certificate=issue(other, "one") + issue(own, "two"),
        client_key=write_key(own, serialization.PrivateFormat.PKCS8),
    )

    assert (named, message) == (
        "client_key",
        "the key is that of certificate 2 in client_certificate; leave out the others",
    )


@pytest.mark.parametrize(("field", "most"), [("ca_certificate", 300), ("client_certificate", 20)])
def test_the_number_of_certificates_is_bounded(field: str, most: int) -> None:
    many = "".join(issue(KEYS["Ed25519"], f"ca {number}") for number in range(most + 1))

    _, message = find_refusal(**{field: many}, **({"client_key": PAIR.key} if "client" in field else {}))

    assert message == f"this holds {most + 1} certificates; {most} at most"


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, 0x82]) + len(content).to_bytes(2) + content


def lock_by(derivation: str, *numbers: int) -> bytes:
    """An encrypted key that nobody can open, for its passphrase is to be stretched by these numbers."""
    stretched = [der(0x02, number.to_bytes(8)) for number in numbers]
    how = der(0x30, bytes.fromhex(derivation), der(0x30, der(0x04, bytes(8)), *stretched))
    cipher = der(0x30, bytes.fromhex("060960864801650304012a"), der(0x04, bytes(16)))
    scheme = der(0x30, bytes.fromhex("06092a864886f70d01050d"), der(0x30, how, cipher))
    return der(0x30, scheme, der(0x04, bytes(64)))


PBKDF2 = "06092a864886f70d01050c"
SCRYPT = "06092b06010401da47040b"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lock_by(PBKDF2, 200_001), "stretched too long"),
        (lock_by(PBKDF2, 2**62), "stretched too long"),
        (lock_by(SCRYPT, 2**20, 8, 1), "stretched too long"),
        (lock_by(SCRYPT, 2**14, 8, 1000), "stretched too long"),
        (lock_by(PBKDF2, 1000), "does not open it"),
        (lock_by(SCRYPT, 2**14), "does not open it"),
        (b"", "something else than base64"),
        (b"0", "does not open it"),
        (b"0\x84\xff\xff", "does not open it"),
        (b"\x02" * 200_000, "does not open it"),
    ],
)
def test_a_passphrase_that_takes_minutes_to_try_is_not_tried(content: bytes, words: str) -> None:
    started = time.process_time()

    named, message = find_refusal(
        client_certificate=PAIR.certificate,
        client_key=wrap("ENCRYPTED PRIVATE KEY", content),
        client_key_passphrase=PASSPHRASE,
    )

    assert named == "client_key"
    assert words in message
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        "\\" * 1_000_000,
        "-----BEGIN CERTIFICATE-----" * 40_000,
        "-----" * 200_000,
        "-----BEGIN CERTIFICATE-----" + "Proc-Type: 4,ENCRYPTED" * 40_000 + "-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----" + "\u200b" * 500_000 + "-----END CERTIFICATE-----",
        "-----BEGIN " * 90_000,
        "LS0tLS1" + "A" * 1_000_000,
    ],
    ids=["backslashes", "beginnings", "dashes", "headers", "invisible", "begins", "base64"],
)
def test_a_text_made_to_take_long_takes_none(text: str) -> None:
    started = time.process_time()

    find_refusal(ca_certificate=text)

    assert time.process_time() - started < 1


PIECES = st.sampled_from(
    ["-----", "BEGIN", "END", "PRIVATE KEY", "=", "\\n", "\n", "\x00", "ü", "Proc-Type: 4,ENCRYPTED", "A"]
)


@given(
    field=st.sampled_from(["ca_certificate", "client_certificate", "client_key"]),
    place=st.integers(0),
    length=st.integers(0, 40),
    put=st.lists(PIECES, max_size=3).map("".join),
)
@settings(max_examples=300)
def test_what_is_damaged_anywhere_is_refused_at_save_or_can_be_used(
    field: str, place: int, length: int, put: str
) -> None:
    config = {
        "ca_certificate": AUTHORITY.pem,
        "client_certificate": PAIR.certificate,
        "client_key": PAIR.key,
    }
    start = place % len(config[field])
    config[field] = config[field][:start] + put + config[field][start + length :]

    with contextlib.suppress(InvalidConfig):
        load(**config)


def test_an_rsa_key_that_tls_takes_no_more_is_refused_when_it_is_saved() -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that it is weak is the point

    field, words = find_refusal(
        client_certificate=issue(key), client_key=write_key(key, serialization.PrivateFormat.PKCS8)
    )

    assert (field, "1024 bits" in words) == ("client_key", True)


def write_rsa(p: int, q: int, /, **changed: int) -> str:
    """A key of these primes, or of other numbers; nothing is tested of it."""
    private = pow(65_537, -1, (p - 1) * (q - 1))
    numbers = {
        "version": 0,
        "n": p * q,
        "e": 65_537,
        "d": private,
        "p": p,
        "q": q,
        "dmp1": private % (p - 1),
        "dmq1": private % (q - 1),
        "iqmp": pow(q, -1, p),
    } | changed
    written = (write_der(0x02, each.to_bytes(each.bit_length() // 8 + 1)) for each in numbers.values())
    return wrap("RSA PRIVATE KEY", write_der(0x30, b"".join(written)))


def write_der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + (length if size < 0x80 else bytes([0x80 + len(length)]) + length) + content


PRIMES = 2**1279 - 1, 2**2203 - 1
"""Both are known to be primes, so that no key has to be looked for."""


def test_a_key_of_known_primes_is_one() -> None:
    key = write_rsa(*PRIMES)
    opened = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(opened, rsa.RSAPrivateKey)

    load(client_certificate=issue(opened), client_key=key)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (write_rsa(2**4253 - 1, 2**9689 - 1), "an RSA key of 13942 bits takes too long to sign with"),
        (write_rsa(*PRIMES, d=65_539), "it is damaged or cut off"),
        (write_rsa(*PRIMES, p=2**1279 - 3), "it is damaged or cut off"),
        (write_rsa(*PRIMES, p=1, q=PRIMES[0] * PRIMES[1]), "it is damaged or cut off"),
        (write_rsa(*PRIMES, p=0), "it is damaged or cut off"),
        (write_rsa(*PRIMES, n=2**3000), "it is damaged or cut off"),
    ],
    ids=["large", "exponent", "prime", "one", "nothing", "product"],
)
def test_an_rsa_key_that_can_not_be_used_is_refused_though_its_primes_are_not_tested(
    key: str, words: str
) -> None:
    named, message = find_refusal(client_certificate=PAIR.certificate, client_key=key)

    assert named == "client_key"
    assert words in message
