"""Why somebody is not told: because of them, or of the account that tells them. Their codes say which alert it is."""

from __future__ import annotations

from shared.runtime.errors import OutsideError


class RecipientRefused(OutsideError):
    """The number or address is wrong, or takes no such messages; enter another."""

    code = "recipient_refused"
    final = True


class RecipientOptedOut(OutsideError):
    """They have asked not to be told. They can allow it again themselves, at the service."""

    code = "recipient_opted_out"
    final = True


class AccountRefused(OutsideError):
    """The account is refused: see its credentials, its balance and its limits."""

    code = "account_refused"
    final = False
