"""What every error of ours is: an HTTP status, a code for programs, words for people, and the fields that are wrong."""

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
