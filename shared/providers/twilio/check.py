"""Check: the account, whether its number can do what recipients ask for, and its balance where that may be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from shared.provider import AccountRefused, Check, Deadline, OutsideError, run_checks
from shared.providers.twilio.api import Account, get_page

if TYPE_CHECKING:
    from shared.providers.twilio import Twilio

CHECK_SECONDS = 8.0


def check_account(twilio: Twilio) -> Iterator[Check]:
    """Step by step; a failed one is the last."""
    account, deadline = Account.of(twilio), Deadline(CHECK_SECONDS)
    steps: list[tuple[str, Callable[[], str]]] = [("account", lambda: _see_account(account, deadline))]
    if twilio.from_number:
        steps.append(("number", lambda: _see_number(twilio, account, deadline)))
    steps.append(("balance", lambda: _see_balance(account, deadline)))
    yield from run_checks(steps)


def _see_account(account: Account, deadline: Deadline) -> str:
    seen = get_page(account, "", {}, deadline)
    if seen.get("status") != "active":
        raise AccountRefused(
            f"The account is {str(seen.get('status'))[:40]}: see its balance in the console."
        )
    return f"{str(seen.get('friendly_name'))[:100]}, {str(seen.get('type'))[:40]}"


def _see_number(twilio: Twilio, account: Account, deadline: Deadline) -> str:
    page = get_page(account, "/IncomingPhoneNumbers", {"PhoneNumber": twilio.from_number or ""}, deadline)
    numbers = page.get("incoming_phone_numbers")
    if not isinstance(numbers, list) or not numbers or not isinstance(numbers[0], dict):
        raise AccountRefused(
            "from_number is none of this account's numbers; a verified caller ID can only call."
        )
    can = numbers[0].get("capabilities")
    able = {way for way in ("sms", "voice") if isinstance(can, dict) and can.get(way) is True}
    wanted = {recipient.by for recipient in twilio.recipients} - {"whatsapp"}
    if twilio.messaging_service_sid:
        wanted -= {"sms"}
    if missing := sorted(wanted - able):
        raise AccountRefused(
            f"The number can't do what recipients ask for: {', '.join(missing)}. Choose another."
        )
    return f"can do {', '.join(sorted(able)) or 'nothing'}"


def _see_balance(account: Account, deadline: Deadline) -> str:
    try:
        seen = get_page(account, "/Balance", {}, deadline)
    except OutsideError:
        return "can't be read with these credentials"
    return f"{str(seen.get('balance'))[:20]} {str(seen.get('currency'))[:10]}"
