"""The one error tree. Each class is an HTTP status, a code for programs and a default message for people.

Problem                                 500
├── BadRequest                          400 malformed JSON, wrong types outside of config, unknown fields
├── Unauthenticated, Forbidden          401, 403 row-level security refused
├── NotFound, MethodNotAllowed          404 absent, or not yours; 405
├── Conflict, QuotaExceeded             409 duplicate name; LeaseLost: another worker has taken over; too many
├── Gone, PreconditionFailed            410 past its retention; 412 somebody else was faster
├── TooLarge, UnsupportedMediaType      413, 415
├── InvalidConfig, IdempotencyMismatch  422 names each field; 422
├── RateLimited, VaultError             429; 500 a sealed value that does not open
├── NotSupported, Unavailable           501 the provider has no such capability; 503 the database is away
└── OutsideError                        502 something outside refused or failed: the rest
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from shared.runtime.backoff import is_final_status


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: `field` is its dotted path, `message` says what was expected, never the value."""

    field: str
    message: str


class Problem(Exception):
    """Something went wrong on our side; the request id finds it in the log."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal"
    final: ClassVar[bool | None] = None
    """Where the status does not tell."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: list[FieldError] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.errors = errors or []
        self.headers = headers or {}
        self.answered: int = self.status
        super().__init__(self.detail)

    def explain(self, words: str | None = None) -> str:
        """The detail, or `words`, and after it each wrong field as `field: message`: for those who read no `errors`."""
        wrong = "; ".join(f"{error.field}: {error.message}" for error in self.errors)
        return " ".join(filter(None, (self.detail if words is None else words, wrong)))

    @property
    def is_final(self) -> bool:
        """Whether trying the same again would come to the same, by the one table: `is_final_status`."""
        return is_final_status(self.answered) if self.final is None else self.final


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


class CredentialsRefused(OutsideError):
    """The other side refused the credentials."""

    code = "credentials_refused"


class ProviderRefused(OutsideError):
    """The provider refused the call."""

    code = "provider_refused"

    def __init__(self, detail: str | None = None, *, answered: int = 0) -> None:
        super().__init__(detail)
        self.answered = answered


class CommandRefused(OutsideError):
    """The command was refused for good; sending it again would not help."""

    code = "command_refused"
    final = True
