"""What the client and the brokers answer when something fails, as our own errors, in an admin's words."""

from __future__ import annotations

import struct
from ssl import SSLError
from typing import Any

from aiokafka import errors as kafka

from shared.provider import (
    ConnectionRefused,
    CredentialsRefused,
    OutsideError,
    Problem,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    explain_tls_failure,
)

FAILURES = (
    kafka.KafkaError,
    *(OSError, EOFError, TimeoutError, struct.error, ArithmeticError, AssertionError),
    *(LookupError, TypeError, ValueError, AttributeError),
)
"""What the client raises: of a broker that answers nonsense, whatever reading it comes to."""

INVALID_RECORD = 87
_REFUSED: dict[type[Exception], str] = {
    kafka.SaslAuthenticationFailed: "The broker refused the login: check the user name and the password or token.",
    kafka.TopicAuthorizationFailedError: "The login may not read or write this topic; have it allowed there (ACL).",
    kafka.ClusterAuthorizationFailedError: "The login may not do this there; have it allowed (ACL).",
    kafka.UnsupportedSaslMechanismError: "The broker takes no login of this kind; choose another sasl_mechanism.",
    kafka.IllegalSaslStateError: "The broker wants no login, or another one; check security_protocol.",
}
_FOR_GOOD: dict[type[Exception], str] = {
    kafka.MessageSizeTooLargeError: "It is larger than the topic takes (max.message.bytes).",
    kafka.RecordListTooLargeError: "It is larger than the topic takes (segment.bytes).",
    kafka.InvalidTopicError: "The topic has a name that the cluster takes for none.",
    kafka.PolicyViolationError: "A policy of the cluster refuses it.",
}
_CLOSED = (
    "The broker ended the connection without a word: it may want TLS or a login; "
    "check security_protocol and the port."
)


def explain_failure(error: BaseException, host: str = "The broker") -> Problem:
    """`error`, that came of speaking to `host`."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, SSLError | ConnectionResetError):
        return explain_tls_failure(error, host) if isinstance(error, SSLError) else ConnectionRefused(_CLOSED)
    if isinstance(error, kafka.RequestTimedOutError | kafka.KafkaTimeoutError | TimeoutError):
        return TimedOut(f"{host} did not answer in time.")
    for kinds, make in ((_REFUSED, CredentialsRefused), (_FOR_GOOD, _refuse)):
        for kind, words in kinds.items():
            if isinstance(error, kind):
                return make(words)
    return _explain_rest(error, host)


def explain_code(code: int) -> Problem:
    """What a broker answers by its number."""
    if code == INVALID_RECORD:
        return _refuse("The topic takes no such record: one that is compacted takes none without a device.")
    return explain_failure(kafka.for_code(code)())


def _refuse(words: str) -> ProviderRefused:
    return ProviderRefused(words, answered=400)


def _explain_rest(error: BaseException, host: str) -> OutsideError:
    if isinstance(error, kafka.KafkaConnectionError):
        cause = error.__cause__
        if isinstance(cause, SSLError):
            return explain_tls_failure(cause, host)
        is_end = cause is None or isinstance(cause, EOFError | OSError)
        return ConnectionRefused(_CLOSED) if is_end else ProtocolFailed(_describe_nonsense(host))
    if isinstance(error, kafka.BrokerResponseError):
        said: Any = type(error).message if hasattr(type(error), "message") else type(error).__name__
        return ProviderRefused(f"{host} answered {said} ({type(error).errno}).", answered=503)
    if isinstance(error, OSError | EOFError):
        return ConnectionRefused(_CLOSED)
    return ProtocolFailed(_describe_nonsense(host))


def _describe_nonsense(host: str) -> str:
    return f"{host} answered something that is not Kafka's protocol; check that the port is a broker's."
