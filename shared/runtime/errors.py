"""The one error tree: each class is an HTTP status, a code for programs and words for people; outside, OutsideError."""

from __future__ import annotations

import math
from http import HTTPStatus

from shared.runtime.problem import FieldError as FieldError
from shared.runtime.problem import Problem as Problem


class BadRequest(Problem):
    """The request could not be understood."""

    status = HTTPStatus.BAD_REQUEST
    code = "bad_request"


class Unauthenticated(Problem):
    """Sign in and send the session's access token as `Authorization: Bearer <token>`."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"


class Forbidden(Problem):
    """Your role in this organization does not allow this; ask an admin or owner."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class NotFound(Problem):
    """There is no such thing here, or it is not visible to you."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class MethodNotAllowed(Problem):
    """This path does not answer that method; the Allow header lists those it does."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "method_not_allowed"


class Conflict(Problem):
    """Something with that name already exists; choose another."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class LeaseLost(Conflict):
    """Another worker has taken over; this late result was refused and nothing was written."""

    code = "lease_lost"


class QuotaExceeded(Problem):
    """The organization has as many as it may have; remove some, or ask the operator of the platform for more."""

    status = HTTPStatus.CONFLICT
    code = "quota_exceeded"


class Gone(Problem):
    """What this needs is past its retention and was deleted."""

    status = HTTPStatus.GONE
    code = "gone"


class PreconditionFailed(Problem):
    """Somebody else has changed this since you read it; read it again and repeat your change on what is there now."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"


class TooLarge(Problem):
    """The body is larger than this call accepts."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class UnsupportedMediaType(Problem):
    """Send the body as `Content-Type: application/json`."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class InvalidConfig(Problem):
    """The configuration is not valid; `errors` names each field."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_config"
    final = False  # it can be mended


class InvalidRange(Problem):
    """What is asked for can't be answered; `errors` names each parameter."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_range"


class IdempotencyMismatch(Problem):
    """This Idempotency-Key was used for another request in the last 24 hours; every new request needs a new key."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "idempotency_mismatch"


class RateLimited(Problem):
    """Too many requests; wait for the time in the Retry-After header."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"

    def __init__(self, detail: str | None = None, *, retry_after: int = 60) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after))})


class NotSupported(Problem):
    """This integration type has no such capability."""

    status = HTTPStatus.NOT_IMPLEMENTED
    code = "not_supported"


class Unavailable(Problem):
    """The database can't be reached just now; nothing was changed. Try again after the Retry-After time."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 5) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Busy(Unavailable):
    """The database was too busy with something else; nothing was changed. Try again after the Retry-After time."""


class VaultError(Problem):
    """The stored credentials could not be opened; enter them again."""

    code = "vault_error"


class SealMismatch(VaultError):
    """The stored credentials were sealed for something else; enter them again."""


class OutsideError(Problem):
    """The other side refused or failed."""

    status = HTTPStatus.BAD_GATEWAY
    code = "outside_error"


class AddressBlocked(OutsideError):
    """The address is not one that integrations may reach."""

    code = "address_blocked"


class NameNotResolved(OutsideError):
    """The host name could not be resolved."""

    code = "dns_error"


class ConnectionRefused(OutsideError):
    """The other side refused the connection."""

    code = "connection_refused"


class TlsFailed(OutsideError):
    """The TLS handshake failed."""

    code = "tls_error"


class TimedOut(OutsideError):
    """The other side did not finish within the deadline."""

    code = "timeout"


class ProtocolFailed(OutsideError):
    """The other side broke the protocol."""

    code = "protocol_error"


class AnswerUnreadable(ProtocolFailed):
    """The other side answered that it was done, with what can't be read."""


class CredentialsRefused(OutsideError):
    """The other side refused the credentials."""

    code = "credentials_refused"


class ProviderRefused(OutsideError):
    """The provider refused the call."""

    code = "provider_refused"

    def __init__(
        self, detail: str | None = None, *, answered: int = 0, retry_after: float | None = None
    ) -> None:
        asked = {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}
        super().__init__(detail, headers=asked)
        self.answered = answered
        self.retry_after = retry_after


class StreamRefused(ProviderRefused):
    """The other side answered something else than a stream; `body` is what, to a limit."""

    def __init__(
        self, detail: str, *, answered: int, retry_after: float | None = None, body: bytes = b""
    ) -> None:
        super().__init__(detail, answered=answered, retry_after=retry_after)
        self.body = body


class StreamEnded(OutsideError):
    """The other side ended the stream; `ended` is a WebSocket's code, 1006 for none, `reason` its own word."""

    code = "stream_ended"

    def __init__(self, detail: str | None = None, *, ended: int = 1006, reason: str = "") -> None:
        super().__init__(detail)
        self.ended = ended
        self.reason = reason


class CommandRefused(OutsideError):
    """The command was refused for good; sending it again would not help."""

    code = "command_refused"
    final = True
