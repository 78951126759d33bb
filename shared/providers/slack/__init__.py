"""Slack: alerts and events in channels, by an incoming webhook or, with a bot's token, in posts that are updated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, StringConstraints, ValidationInfo, field_validator, model_validator

from shared.provider import (
    Access,
    BaseUrl,
    Check,
    Checker,
    Credential,
    Deadline,
    Destination,
    Event,
    Group,
    Notice,
    Notifier,
    Recipient,
    SecretUrl,
    list_parts,
    locate_url,
    show_origin,
)

BASE_URL = "https://slack.com/api"

Channel = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[#@]?[A-Za-z0-9._-]{1,80}$")]


class SlackRecipient(Recipient):
    """A channel to be told in."""

    to: Channel | None = None
    """The id of the channel, as C0123456789, which a bot needs; an incoming webhook has a channel of its own."""


class Slack(Checker, Notifier):
    """One workspace, by an incoming webhook's address or a bot's token."""

    label: ClassVar[str] = "Slack"
    docs: ClassVar[str] = (
        "Tells alerts and events in Slack channels; with a bot's token a message is updated when its alert ends."
    )

    stated: ClassVar[Mapping[str, object]] = {**Notifier.stated, "recipients": [{"name": "Slack"}]}
    groups: ClassVar[tuple[Group, ...]] = (
        Group("Workspace", ("webhook_url", "webhook_origin", "bot_token", "base_url"), open=True),
    )

    recipients: tuple[SlackRecipient, ...] = Field(
        (SlackRecipient(name="Slack"),),
        max_length=50,
        examples=[[{"name": "Operations", "to": "C0123456789"}]],
    )
    """The channels that are told, each by a message of its own: a name, with a bot the channel's id, quiet hours."""
    webhook_url: SecretUrl | None = None
    """The address of an incoming webhook; whoever knows it can post, so it is sealed, and only its origin shown."""
    webhook_origin: str | None = Field(None, json_schema_extra={"readOnly": True})
    """Scheme and host of webhook_url. Only read."""
    base_url: BaseUrl = BASE_URL
    """Where Slack's Web API is."""
    bot_token: Credential | None = Field(None, validate_default=True)
    """Instead of webhook_url, a bot's token (xoxb-…): with chat:write and, to post nothing twice, channels:history."""

    @model_validator(mode="before")
    @classmethod
    def _state_origin(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name: value for name, value in data.items() if name != "webhook_origin"}
        address = given.get("webhook_url")
        origin = show_origin(address) if isinstance(address, str) else None
        return given | ({"webhook_origin": origin} if origin else {})

    @field_validator("bot_token")
    @classmethod
    def _check_way(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (token is None) == (info.data.get("webhook_url") is None) and "webhook_url" in info.data:
            raise ValueError("give either webhook_url or bot_token, and set the other to null")
        places = [recipient.to for recipient in info.data.get("recipients", ())]
        if token is not None and None in places:
            raise ValueError(
                f"a bot has to know the channel: write its id as `to` of recipient {places.index(None) + 1}"
            )
        return token

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the token, or what is posted to the secret address, is sent."""
        return locate_url(config.get("webhook_origin") or config.get("base_url") or BASE_URL)

    @property
    def access(self) -> Access:
        """What calls to the Web API need."""
        token = self.bot_token.get_secret_value() if self.bot_token else ""
        headers = {"Authorization": f"Bearer {token}"}
        return Access("Slack", self.base_url, headers, [token], self.identity.organization_id)

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, and what gives the secret address away."""
        parts = list_parts(self.webhook_url.get_secret_value()) if self.webhook_url else ()
        return (*super().secret_values, *parts)

    def tell(self, event: Event, notice: Notice, deadline: Deadline) -> str | None:
        """Post to the webhook or the channel, or update what was posted there of the same alert."""
        from shared.providers.slack.publish import post_message, post_to_webhook

        recipient = self.find_recipient(notice)
        place = recipient.to if isinstance(recipient, SlackRecipient) else None
        if self.webhook_url:
            post_to_webhook(self.webhook_url.get_secret_value(), place, self.word(event), deadline)
            return None
        return post_message(self.access, place or "", event, self.word(event), deadline)

    def check(self) -> Iterator[Check]:
        """Whether the token is good, of which workspace it is; then a message, where the config says to whom."""
        from shared.providers.slack.check import check_token

        if self.bot_token:
            yield (check := check_token(self.access))
            if not check.ok:
                return
        yield from self.check_message()
        if self.webhook_url and not self.test_recipient:
            words = "An incoming webhook can only be tried by a message: set test_recipient."
            yield Check("webhook", ok=True, detail=words, ms=0)
