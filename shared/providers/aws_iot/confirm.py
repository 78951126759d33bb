"""Confirming the destination of a rule: AWS asks at our address whether it is ours, before any rule may post there.

It asks without a proof, so it is heeded only while an admin waits for it (`confirm_until`). AWS itself is answered, not
whom the request names: with the account's signature where there is one, which another account's token fails, else by
the address that AWS has for the token. Whoever invents tokens is refused after a few, and in the end AWS is not asked
any more. Source: AWS IoT's documentation of HTTP action destinations.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from shared.provider import (
    Deadline,
    Item,
    Message,
    OutboundRequest,
    Problem,
    ProviderRefused,
    PushedRequest,
    Unauthenticated,
    note_call,
    read_document,
    send_once,
)
from shared.providers.aws_iot.api import open_api
from shared.providers.aws_iot.hosts import IOT, name_host

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

TYPE_HEADER = "x-amz-rules-engine-message-type"
CONFIRMATION = "DestinationConfirmation"
TOPIC = "destination/confirmation"
CALL_SECONDS = 10.0
TOKEN = re.compile(r"[A-Za-z0-9_.~=+/%-]{1,2048}")
ARN_LIMIT = 512
KEPT_FAILURES, ASKED_FAILURES = 5, 100
"""Failed confirmations of one wait that an admin can read, and after which AWS is asked for no more, by one process."""

WAITS = 1_000
"""Counted at a time; the one that was quiet for longest is forgotten first."""


def is_confirmation(request: PushedRequest) -> bool:
    """Whether it asks to confirm a destination, by its own word."""
    return request.headers.get(TYPE_HEADER) == CONFIRMATION


def verify_confirmation(aws: AwsIot, request: PushedRequest) -> None:
    """Unauthenticated unless an admin waits, and what it says leads to AWS."""
    if aws.confirm_until is None or aws.confirm_until <= datetime.now(UTC):
        raise Unauthenticated(
            "A destination asks to be confirmed, and nobody waits for one: set confirm_until."
        )
    if _failures.get(_name_wait(aws), 0) >= ASKED_FAILURES:
        raise Unauthenticated("Too many confirmations have failed: set confirm_until anew.")
    token, enable_url = read_confirmation(request)
    if not is_token(token):
        raise Unauthenticated("A destination asks to be confirmed without a token.")
    # Compared as text: what is no address at all can't be taken apart.
    known = f"{locate_token(aws)}/"
    named = enable_url.removeprefix(known)
    if not enable_url.startswith(known) or not is_token(named) or unquote(named) != unquote(token):
        raise Unauthenticated("A destination asks to be confirmed elsewhere than at AWS in the region.")


def is_token(token: str) -> bool:
    """Whether it can stand in an address, and leads nowhere else there."""
    plain = unquote(token)
    return bool(TOKEN.fullmatch(token) and TOKEN.fullmatch(plain)) and not {"", ".", ".."} & set(
        plain.split("/")
    )


def read_confirmation(request: PushedRequest) -> tuple[str, str]:
    """The token, and the address that confirms it; empty where there is none."""
    told = Item(read_document(request.body)[0])
    return told.text("confirmationToken", 4_096) or "", told.text("enableUrl", 4_096) or ""


def locate_token(aws: AwsIot) -> str:
    """Below which address tokens are confirmed."""
    address = aws.endpoint_url or f"https://{name_host(IOT, aws.region)}"
    return f"{address}/confirmdestination"


def confirm_destination(aws: AwsIot, request: PushedRequest) -> Message:
    """Confirm it; what came of it, for admins to read. Where it failed with what it takes to do it in AWS's console.

    Unauthenticated where more than a few have failed: they are not AWS's.
    """
    token, enable_url = read_confirmation(request)
    arn = Item(read_document(request.body)[0]).text("arn", ARN_LIMIT)
    payload: dict[str, object] = {"arn": arn, "confirmed": True}
    error = None
    try:
        _confirm(aws, token, enable_url)
    except Problem as problem:
        if _count_failure(aws) > KEPT_FAILURES:
            raise Unauthenticated(f"Another confirmation failed: {aws.mask_text(problem.detail)}") from None
        error = f"The destination could not be confirmed: {aws.mask_text(problem.detail)}"
        payload |= {"confirmed": False, "confirmationToken": token, "enableUrl": enable_url}
    digest = hashlib.sha256(f"{token} {error}".encode()).hexdigest()
    return Message(f"confirm:{digest}", None, "event", TOPIC, payload, remark=error)


def _count_failure(aws: AwsIot) -> int:
    wait = _name_wait(aws)
    with _lock:
        _failures[wait] = count = _failures.pop(wait, 0) + 1
        while len(_failures) > WAITS:
            _failures.popitem(last=False)
    return count


def _name_wait(aws: AwsIot) -> tuple[str, str]:
    """An admin who sets `confirm_until` anew waits anew."""
    return aws.identity.integration_id, str(aws.confirm_until)


def _confirm(aws: AwsIot, token: str, enable_url: str) -> None:
    deadline = Deadline(CALL_SECONDS)
    if aws.has_account:
        with open_api(aws.account, "iot", deadline) as api:
            api.run("iot:ConfirmTopicRuleDestination", unquote(token))
        return
    reply = send_once(OutboundRequest("GET", enable_url, timeout_seconds=deadline.remaining()))
    note_call(reply.milliseconds)
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        raise ProviderRefused(f"AWS answered {reply.status}.", answered=reply.status)


_failures: OrderedDict[tuple[str, str], int] = OrderedDict()
_lock = threading.Lock()
