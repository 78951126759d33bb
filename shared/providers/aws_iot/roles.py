"""Keys: the account's own, or those of a session of a role, assumed under an external id that only we choose.

Source: STS's Query API, AssumeRole of 2011-06-15, whose answers are XML.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode

from shared.provider import (
    CredentialsRefused,
    Deadline,
    OutboundReply,
    OutboundRequest,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    mask_secrets,
    note_call,
    read_moment,
    replace_nul,
    send_once,
)
from shared.providers.aws_iot.account import SPARE, Account
from shared.providers.aws_iot.hosts import STS
from shared.providers.aws_iot.memory import Memory
from shared.providers.aws_iot.signing import Keys, Scope, sign_request
from shared.providers.aws_iot.xml_text import find_text

SESSION_SECONDS = 3_600
CALL_SECONDS = 10.0
WORDS_LIMIT = 500
THROTTLED = frozenset(
    ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown")
)
"""AWS's names for too many calls, whatever the status."""
FORM = "application/x-www-form-urlencoded"


def find_keys(account: Account, deadline: Deadline) -> Keys:
    """What to sign with. Errors: CredentialsRefused where the role can't be assumed, other OutsideErrors."""
    if account.role_arn is None:
        return account.keys
    return _sessions.find(account, deadline, lambda: assume_role(account, deadline))


def forget_keys(account: Account) -> None:
    """A session that was refused is not used again, unless it is so new that another would be refused too."""
    _sessions.forget(account)


def pardon_role(account: Account) -> None:
    """Have a role that was refused assumed at once."""
    _sessions.pardon(account)


def assume_role(account: Account, deadline: Deadline) -> tuple[Keys, datetime]:
    """The keys of a new session, and until when they are used."""
    seconds = min(CALL_SECONDS, deadline.remaining())
    if seconds <= 0:
        raise TimedOut("There was no time left to assume the role.")
    form = {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": account.role_arn or "",
        "RoleSessionName": "device-integrations",
        "ExternalId": account.external_id,
        "DurationSeconds": SESSION_SECONDS,
    }
    request = OutboundRequest(
        "POST", f"{account.locate(STS)}/", {"Content-Type": FORM}, urlencode(form).encode(), seconds
    )
    reply = send_once(sign_request(request, account.keys, Scope(STS, account.region), datetime.now(UTC)))
    note_call(reply.milliseconds)
    return _read_session(reply, account)


def _read_session(reply: OutboundReply, account: Account) -> tuple[Keys, datetime]:
    text = reply.body.decode(errors="replace")
    if reply.status != HTTPStatus.OK:
        raise _explain(reply, account, find_text(text, "Code"), find_text(text, "Message"))
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    key_id, secret, token, expires = (find_text(text, name) for name in names)
    until = read_moment(expires)
    if not (key_id and secret and token and until):
        raise ProtocolFailed("AWS answered without the session of the role.")
    return Keys(key_id, secret, token), until - SPARE


def _explain(
    reply: OutboundReply, account: Account, name: str, said: str
) -> CredentialsRefused | ProviderRefused:
    words = replace_nul(mask_secrets(f"{name}: {said}", [account.keys.secret])[:WORDS_LIMIT])
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(
            f"The role could not be assumed ({reply.status}). Its trust policy has to name our account, with the "
            f"external id {account.external_id}. {words}"
        )
    status = HTTPStatus.TOO_MANY_REQUESTS if name in THROTTLED else reply.status
    return ProviderRefused(f"AWS answered {status}: {words}", answered=status, retry_after=reply.retry_after)


_sessions: Memory[Keys] = Memory()
