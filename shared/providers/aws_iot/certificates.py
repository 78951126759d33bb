"""Certificates of things: made by AWS of a request that the device, or we for it, has signed; its key never goes there.

A request may be made good any number of times: a thing that has a certificate for the same key already keeps that. One
whose answer got lost is attached to nothing; it is found among those that were made last, and taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from shared.provider import CredentialsRefused, Item, ProtocolFailed, ProviderRefused
from shared.providers.aws_iot.api import AwsApi, read_items

PRINCIPAL = "x-amzn-principal"
PEM_LIMIT = 16_384
LATEST, LATEST_SECONDS = 100, 86_400
"""How many certificates are looked through for one whose answer got lost, and how old it may be."""

SETTLING = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries to delete what was detached just now."""

ATTACHED = frozenset((HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT))
"""What AWS says of a thing, and of a certificate, that counts as attached."""


def certify_thing(api: AwsApi, thing: str, request: str, policy: str | None, *, again: bool = False) -> str:
    """The certificate (PEM) of the key that `request` (PEM) is for: attached to the thing, with its policy.

    `again`: it may have been made already, and not have been attached.
    """
    found = _find_certificate(api, list_principals(api, thing), request)
    if found is None and again:
        found = _find_certificate(api, _list_latest(api), request)
    arn, pem = found or _make_certificate(api, request)
    try:
        api.run("iot:AttachThingPrincipal", thing, headers={PRINCIPAL: arn})
    except (ProviderRefused, CredentialsRefused) as refusal:
        # Whoever undoes the rest finds only what is attached.
        if isinstance(refusal, CredentialsRefused) or refusal.is_final:
            _revoke(api, arn, None)
            _delete(api, arn)
        raise
    if policy:
        api.run("iot:AttachPolicy", policy, body={"target": arn})
    return pem


def _make_certificate(api: AwsApi, request: str) -> tuple[str, str]:
    body = {"certificateSigningRequest": request}
    query = {"setAsActive": "true"}
    made = Item(api.run("iot:CreateCertificateFromCsr", body=body, query=query, again=False))
    arn, pem = made.text("certificateArn"), made.text("certificatePem", PEM_LIMIT)
    if not arn or not pem:
        raise ProtocolFailed("AWS answered without the certificate.")
    return arn, pem


def release_thing(api: AwsApi, thing: str, policy: str | None) -> None:
    """Detach what the thing signs in with, and delete the certificates, which nothing else is then to use."""
    for arn in list_principals(api, thing):
        # First: whatever is cut off after that, nobody signs in with it.
        if is_certificate(arn):
            _revoke(api, arn, policy)
        with _excuse(HTTPStatus.NOT_FOUND):
            api.run("iot:DetachThingPrincipal", thing, headers={PRINCIPAL: arn})
        if is_certificate(arn):
            _delete(api, arn)


def is_certificate(arn: str) -> bool:
    """Whether a principal is a certificate."""
    return ":cert/" in arn


def name_certificate(arn: str) -> str:
    """The id of a certificate."""
    return arn.rpartition("/")[2]


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
    """Inactive and without the policy, as AWS wants one that is to be deleted. One that others use stays so."""
    with _excuse(HTTPStatus.NOT_FOUND):
        api.run("iot:UpdateCertificate", name_certificate(arn), query={"newStatus": "INACTIVE"})
    if policy:
        with _excuse(HTTPStatus.NOT_FOUND):
            api.run("iot:DetachPolicy", policy, body={"target": arn})


def _delete(api: AwsApi, arn: str) -> None:
    with _excuse(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
        delete_detached(api, "iot:DeleteCertificate", name_certificate(arn))


@contextmanager
def _excuse(*statuses: HTTPStatus) -> Iterator[None]:
    """What is gone already, by an earlier try say, is as it is to be."""
    try:
        yield
    except ProviderRefused as refusal:
        if refusal.answered not in statuses:
            raise


def _find_certificate(api: AwsApi, arns: Iterable[str], request: str) -> tuple[str, str] | None:
    """The active one that is for the key of `request`: its ARN, and the PEM."""
    key = read_key(request)
    for arn in filter(is_certificate, arns) if key else ():
        told = Item(api.run("iot:DescribeCertificate", name_certificate(arn))).item("certificateDescription")
        pem = told.text("certificatePem", PEM_LIMIT)
        if pem and told.text("status") == "ACTIVE" and read_key(pem) == key:
            return arn, pem
    return None


def _list_latest(api: AwsApi) -> list[str]:
    """The certificates of the account that were made last, within the day."""
    query = {"pageSize": LATEST, "isAscendingOrder": "false"}
    listed = [Item(each) for each in read_items(api.run("iot:ListCertificates", query=query), "certificates")]
    since = time.time() - LATEST_SECONDS
    return [
        each.text("certificateArn") or "" for each in listed if (each.number("creationDate") or 0) > since
    ]


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
