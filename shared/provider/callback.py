"""Callback: what a service that messages went out through says of them, and what people answer to them."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from typing_extensions import TypedDict

from shared.provider.base import Capability
from shared.provider.messages import Identity, Message
from shared.provider.parse import PushedRequest
from shared.runtime.settings import load_settings
from shared.runtime.web.text_reply import TextReply


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the message of a delivery, in the service's word; `outcome` is empty unless it did not arrive.

    `again` says that another try may help. `error` is in words for people, without number and text.
    """

    delivery_id: str
    reference: str
    report: str
    outcome: Literal["", "undelivered", "again"] = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """`recipient` looks after an alert: that of the code, or the one that the delivery told them of."""

    recipient: str
    code: str = ""
    delivery_id: str | None = None


@dataclass(frozen=True, slots=True)
class OptOut:
    """Whoever has this number or address is not to be told any more, or is again."""

    address_hash: str
    is_out: bool

    @classmethod
    def of(cls, address: str, *, is_out: bool) -> OptOut:
        """That of `address`, of which only a hash is kept."""
        return cls(hashlib.sha256(address.lower().encode()).hexdigest(), is_out)


@dataclass(frozen=True, slots=True)
class Callback:
    """All that one callback says."""

    messages: tuple[Message, ...] = ()
    reports: tuple[DeliveryReport, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()
    opt_outs: tuple[OptOut, ...] = ()


class Acknowledged(TypedDict):
    """What an acknowledgement came to: its alert, whether it was the first, and whether the alert had ended already."""

    code: str
    kind: str
    is_first: bool
    is_over: bool


class CallbackReceiver(Capability):
    """A provider whose other side calls back."""

    capability: ClassVar[str] = "callback"
    lacking: ClassVar[str] = "callbacks"

    @abstractmethod
    def verify(self, request: PushedRequest) -> None:
        """Raise Unauthenticated unless the request proves who sends it."""

    @abstractmethod
    def callback(self, request: PushedRequest) -> Callback:
        """What a verified request says. BadRequest where it can't be read."""

    def answer(self, request: PushedRequest, told: Sequence[Acknowledged | None]) -> TextReply:  # noqa: ARG002 - for those who override it
        """What is answered; `told` is of each acknowledgement the alert, None where there is none such."""
        return TextReply("")


def locate_callback(identity: Identity, *parts: str) -> str:
    """The address below which an integration is called back, as the outside knows it."""
    return "/".join((load_settings().public_url, "receive", identity.integration_id, *parts))


def show_address(identity: Identity) -> str:
    """Where an integration is pushed to, for people; with a place for the id of one that is not saved yet."""
    return locate_callback(identity) if identity.integration_id else "/receive/<id>"
