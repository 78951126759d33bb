"""Check: whether the server is there, speaks TLS, and lets sign in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, run_check
from shared.providers.email.publish import find_server
from shared.providers.email.smtp import SmtpConnection

if TYPE_CHECKING:
    from shared.providers.email import Email

CHECK_SECONDS = 9.0


def check_server(email: Email) -> Iterator[Check]:
    """One step: nothing is sent."""
    yield run_check("server", lambda: _connect(email))


def _connect(email: Email) -> str:
    server = find_server(email)
    with SmtpConnection(server, Deadline(CHECK_SECONDS)) as connection:
        known = ", ".join(sorted(connection.extensions))[:200]
    signed = "signed in" if server.username is not None else "nobody signs in"
    return f"{server.host} port {server.port}: {signed}; it has {known or 'no extensions'}"
