"""Certificates of things: made by AWS of a request that the device, or we for it, has signed; its key never goes there.

A request may be made good any number of times: a thing that has a certificate for the same key already keeps that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from shared.provider import Item, ProtocolFailed, ProviderRefused
from shared.providers.aws_iot.api import AwsApi

PRINCIPAL = "x-amzn-principal"
PEM_LIMIT = 16_384
SETTLING = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries to delete what was detached just now."""

ATTACHED = frozenset((HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT))
"""What AWS says of a thing, and of a certificate, that counts as attached."""


def certify_thing(api: AwsApi, thing: str, request: str, policy: str | None) -> str:
    """The certificate (PEM) of the key that `request` (PEM) is for: attached to the thing, with its policy."""
    found = _find_certificate(api, thing, request)
    if found is None:
        query = {"setAsActive": "true"}
        made = Item(
            api.run(
                "iot:CreateCertificateFromCsr",
                body={"certificateSigningRequest": request},
                query=query,
                again=False,
            )
        )
        arn, pem = made.text("certificateArn"), made.text("certificatePem", PEM_LIMIT)
        if not arn or not pem:
            raise ProtocolFailed("AWS answered without the certificate.")
        found = arn, pem
    arn, pem = found
    api.run("iot:AttachThingPrincipal", thing, headers={PRINCIPAL: arn})
    if policy:
        api.run("iot:AttachPolicy", policy, body={"target": arn})
    return pem


def release_thing(api: AwsApi, thing: str, policy: str | None) -> None:
    """Detach what the thing signs in with, and delete the certificates, which nothing else is then to use."""
    for arn in list_principals(api, thing):
        with _excuse(HTTPStatus.NOT_FOUND):
            api.run("iot:DetachThingPrincipal", thing, headers={PRINCIPAL: arn})
        if ":cert/" in arn:
            _revoke(api, arn, policy)


def delete_detached(api: AwsApi, action: str, name: str) -> None:
    """Delete what may still count as attached: that a principal is detached takes AWS some seconds."""
    for pause in SETTLING:
        try:
            api.run(action, name)
        except ProviderRefused as refusal:
            if refusal.answered not in ATTACHED or pause >= api.deadline.remaining():
                raise
            time.sleep(pause)
        else:
            return
    api.run(action, name)


def list_principals(api: AwsApi, thing: str) -> list[str]:
    """What the thing signs in with, by its ARN; nothing of a thing that is not there."""
    try:
        found = api.list_all("iot:ListThingPrincipals", thing, items="principals")
    except ProviderRefused as refusal:
        if refusal.answered == HTTPStatus.NOT_FOUND:
            return []
        raise
    return [each for each in found if isinstance(each, str)]


def _revoke(api: AwsApi, arn: str, policy: str | None) -> None:
    """As AWS wants it: inactive first, no policy, then deleted. One that others use stays, inactive."""
    certificate = arn.rpartition("/")[2]
    with _excuse(HTTPStatus.NOT_FOUND):
        api.run("iot:UpdateCertificate", certificate, query={"newStatus": "INACTIVE"})
    if policy:
        with _excuse(HTTPStatus.NOT_FOUND):
            api.run("iot:DetachPolicy", policy, body={"target": arn})
    with _excuse(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
        delete_detached(api, "iot:DeleteCertificate", certificate)


@contextmanager
def _excuse(*statuses: HTTPStatus) -> Iterator[None]:
    """What is gone already, by an earlier try say, is as it is to be."""
    try:
        yield
    except ProviderRefused as refusal:
        if refusal.answered not in statuses:
            raise


def _find_certificate(api: AwsApi, thing: str, request: str) -> tuple[str, str] | None:
    key = read_key(request)
    for arn, pem in _list_certificates(api, thing) if key else ():
        if read_key(pem) == key:
            return arn, pem
    return None


def _list_certificates(api: AwsApi, thing: str) -> Iterator[tuple[str, str]]:
    for arn in list_principals(api, thing):
        if ":cert/" in arn:
            told = Item(api.run("iot:DescribeCertificate", arn.rpartition("/")[2])).item(
                "certificateDescription"
            )
            pem = told.text("certificatePem", PEM_LIMIT)
            if pem and told.text("status") == "ACTIVE":
                yield arn, pem


def read_key(pem: str) -> bytes | None:
    """The public key in a certificate or a request; None where it can't be read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    load = x509.load_pem_x509_csr if "CERTIFICATE REQUEST" in pem else x509.load_pem_x509_certificate
    try:
        key = load(pem.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
