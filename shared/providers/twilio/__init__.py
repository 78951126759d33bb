"""Twilio: alerts and events by SMS, WhatsApp and telephone; what becomes of them and what people answer comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, ValidationInfo, field_validator

from shared.provider import (
    Acknowledged,
    BaseUrl,
    Callback,
    CallbackReceiver,
    Check,
    Checker,
    Credential,
    Deadline,
    Destination,
    Event,
    Group,
    MessageSource,
    Notice,
    Notifier,
    PushedRequest,
    Recipient,
    TextReply,
    locate_callback,
    locate_url,
    require_partner,
)

BASE_URL = "https://api.twilio.com"
E164 = r"^\+[1-9][0-9]{6,14}$"
MOST_KEYS = 10

_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
_WITH_REGION: dict[str, Any] = {"x-when": {"properties": {"region": {"not": {"const": None}}}}}

Number = Annotated[str, StringConstraints(strip_whitespace=True, pattern=E164)]
Place = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,30}$")]


def _check_sid(letters: str) -> Any:
    return StringConstraints(strip_whitespace=True, pattern=f"^{letters}[0-9a-fA-F]{{32}}$")


def _check_keys(keys: Any) -> Any:
    if isinstance(keys, dict) and len(keys) > MOST_KEYS:
        raise ValueError(f"at most {MOST_KEYS} keys")
    if isinstance(keys, dict) and not all(isinstance(name, str) and _KEY.fullmatch(name) for name in keys):
        raise ValueError("a key is named by its id, as the console shows it: letters, digits, _ and -")
    return keys


class TwilioRecipient(Recipient):
    """Somebody with a telephone."""

    to: Number
    """Their number with its country's code, as +491701234567."""
    by: Literal["sms", "whatsapp", "voice"] = "sms"
    """By which way they are told: a text message, WhatsApp, or a call that reads it out."""


class Twilio(Checker, Notifier, CallbackReceiver, MessageSource):
    """One account, how it is called, from which number, and who is told."""

    label: ClassVar[str] = "Twilio"
    docs: ClassVar[str] = (
        "Tells alerts and events by SMS, WhatsApp and telephone, and hears what people answer."
    )

    stated: ClassVar[Mapping[str, object]] = {
        **Notifier.stated,
        "auto_provision_devices": False,
        "silent_after_seconds": 0,
        "offline_after_seconds": 0,
    }
    kept: ClassVar[frozenset[str]] = frozenset({"secondary_auth_token", "signing_keys"})
    groups: ClassVar[tuple[Group, ...]] = (
        Group("Account", ("account_sid", "auth_token", "api_key_sid", "api_key_secret"), open=True),
        Group(
            "Senders",
            ("from_number", "messaging_service_sid", "whatsapp_number", "whatsapp_content_sid"),
            open=True,
        ),
        Group("Messages", ("max_length", "validity_seconds", "language", "ring_seconds")),
        Group("Callbacks", ("secondary_auth_token", "signing_keys")),
        Group("Where Twilio is", ("region", "edge", "base_url")),
    )

    recipients: tuple[TwilioRecipient, ...] = Field(
        max_length=50, examples=[[{"name": "On call", "to": "+491701234567", "by": "sms", "level": "error"}]]
    )
    """Who is told: a name, a number, by sms, whatsapp or voice; from which level on, quiet hours, how often an hour."""
    account_sid: Annotated[str, _check_sid("AC")] = Field(title="Account SID")
    """The id of the account, from the console."""
    base_url: BaseUrl = BASE_URL
    """Where Twilio's API is."""
    region: Place | None = Field(None, examples=["ie1"])
    """The region that the account's data is in; left out, the United States."""
    edge: Place | None = Field(None, examples=["dublin"], json_schema_extra=_WITH_REGION)
    """The edge location by which that region is reached."""
    api_key_sid: Annotated[str, _check_sid("SK")] | None = Field(None, title="API key SID")
    """An API key, which may call Twilio in place of the auth token."""
    api_key_secret: Credential | None = None
    """The secret of that key."""
    auth_token: Credential | None = Field(None, validate_default=True)
    """The account's auth token: it calls Twilio unless there is an API key, and proves what Twilio calls back."""
    secondary_auth_token: Credential | None = None
    """The account's other auth token, while one takes the place of the other."""
    signing_keys: Annotated[dict[str, Credential], BeforeValidator(_check_keys)] = Field(default_factory=dict)
    """Shared keys by their ids, with which Twilio may sign its callbacks in place of the auth token."""
    messaging_service_sid: Annotated[str, _check_sid("MG")] | None = Field(
        None, title="Messaging service SID"
    )
    """A messaging service, which chooses the number of text messages, in place of from_number."""
    from_number: Number | None = Field(None, validate_default=True)
    """The number that messages and calls come from."""
    whatsapp_number: Number | None = Field(None, title="WhatsApp number", validate_default=True)
    """The number that WhatsApp messages come from."""
    whatsapp_content_sid: Annotated[str, _check_sid("HX")] | None = Field(None, title="WhatsApp template SID")
    """An approved template with one variable, the text: WhatsApp wants one unless somebody wrote within a day."""
    max_length: int = Field(480, ge=70, le=1_600)
    """How long a text message may be; what is longer is cut. Each 153 characters cost a message."""
    validity_seconds: int = Field(3_600, ge=60, le=36_000)
    """How long Twilio may try to deliver a text message: an alarm of yesterday alarms nobody."""
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}-[A-Z]{2}$")] = "en-GB"
    """The language in which calls are read out."""
    ring_seconds: int = Field(30, ge=5, le=120)
    """How long a telephone rings."""

    @field_validator("edge")
    @classmethod
    def _check_edge(cls, edge: str | None, info: ValidationInfo) -> str | None:
        if edge is not None and info.data.get("region", "") is None:
            raise ValueError("it goes with a region, such as ie1; set that too")
        return edge

    @field_validator("api_key_secret")
    @classmethod
    def _check_key(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(secret, "api_key_sid", info)

    @field_validator("auth_token")
    @classmethod
    def _check_credentials(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is None and not (info.data.get("api_key_sid") and info.data.get("api_key_secret")):
            raise ValueError("give the account's auth token, or api_key_sid and api_key_secret")
        return token

    @field_validator("from_number")
    @classmethod
    def _check_number(cls, number: str | None, info: ValidationInfo) -> str | None:
        ways = {recipient.by for recipient in info.data.get("recipients", ())}
        if number is None and "sms" in ways and info.data.get("messaging_service_sid", "") is None:
            raise ValueError("messages need a sender: give this, or messaging_service_sid")
        if number is None and "voice" in ways:
            raise ValueError("some recipients are called: give the number that calls come from")
        return number

    @field_validator("whatsapp_number")
    @classmethod
    def _check_whatsapp(cls, number: str | None, info: ValidationInfo) -> str | None:
        if number is None and "whatsapp" in {each.by for each in info.data.get("recipients", ())}:
            raise ValueError("some recipients are told by WhatsApp: give the number that it comes from")
        return number

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the credentials of calls are sent."""
        return locate_url(
            choose_host(config.get("base_url") or BASE_URL, config.get("region"), config.get("edge"))
        )

    def tell(self, event: Event, notice: Notice, deadline: Deadline) -> str:
        """One message or call, once: after an answer that was lost Twilio is asked first; see publish.py."""
        from shared.providers.twilio.publish import tell_person

        recipient = self.find_recipient(notice)
        assert isinstance(recipient, TwilioRecipient)  # noqa: S101 - the field's type
        return tell_person(self, event, recipient, deadline)

    def verify(self, request: PushedRequest) -> None:
        """Unauthenticated unless Twilio has signed it, for this account and this address."""
        from shared.providers.twilio.signature import Keys, verify_callback

        tokens = [token.get_secret_value() for token in (self.auth_token, self.secondary_auth_token) if token]
        shared = {name: secret.get_secret_value() for name, secret in self.signing_keys.items()}
        url = locate_callback(self.identity, *([request.path] if request.path else []))
        verify_callback(Keys(self.account_sid, tokens, shared), url, request)

    def callback(self, request: PushedRequest) -> Callback:
        """What became of a message or call; a message of somebody's; a key that was pressed."""
        from shared.providers.twilio.callback import read_callback

        return read_callback(request, self.recipients)

    def answer(self, request: PushedRequest, told: Sequence[Acknowledged | None]) -> TextReply:
        """TwiML: what is said to whoever answered."""
        from shared.providers.twilio.callback import answer_callback

        return answer_callback(request, told, self.language)

    def check(self) -> Iterator[Check]:
        """The account, its number and balance; then a message, where the config says to whom."""
        from shared.providers.twilio.check import check_account

        for check in check_account(self):
            yield check
            if not check.ok:
                return
        yield from self.check_message()


def choose_host(base_url: str, region: str | None, edge: str | None) -> str:
    """The base address in a region: `api.{edge}.{region}.twilio.com`."""
    if not region or "://api." not in base_url:
        return base_url
    return base_url.replace("://api.", f"://api.{edge}.{region}." if edge else f"://api.{region}.", 1)
