"""What every provider is: a frozen pydantic model of one integration's config, and what it can do.

A provider is one class in one file, `shared/provider/catalogue/<integration_type>.py`. Its fields are the config
(secrets are `SecretStr`), its methods are its capabilities. It overrides what applies; what it does not write
refuses with `NotSupported`. See docs/add-a-provider.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shared.provider.directory import Directory
from shared.provider.firmware import Firmware
from shared.provider.messages import Command, Event, Identity, Message
from shared.provider.remote import DeviceState, Settings
from shared.runtime.deadline import Deadline
from shared.runtime.errors import FieldError, InvalidConfig, NotSupported, Problem
from shared.runtime.masking import mask_secrets
from shared.runtime.numbers import refuse_truth
from shared.runtime.outbound import OutboundRequest

CAPABILITIES = (
    *("check", "session", "parse", "decode", "deliver", "send", "devices"),
    *("state", "settings", "history", "firmware"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a connection test: its name, whether it passed, what was seen, and how long it took."""

    name: str
    ok: bool
    detail: str
    ms: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something an admin should read in the activity log; `level` is `info`, `warning` or `error`.

    With `alert` it raises the alert of that kind, or ends it where the level is `info`.
    """

    level: str
    message: str
    alert: str | None = None


@dataclass(slots=True)
class Batch:
    """Messages that are committed together.

    The session yields it, whoever drives the session stores it and sets `committed`, and only then does the
    session acknowledge it to the other side. An empty batch is a sign of life. `state`, where given, is saved
    in the same transaction and handed to the next session. `received_bytes` counts bodies as they came;
    `connect_ms` is given once, with the first batch of a connection. `more`, on the last batch, says that the session
    was cut off: the next is due at once.
    """

    messages: list[Message] = field(default_factory=list)
    state: dict[str, Any] | None = None
    notes: list[Note] = field(default_factory=list)
    received_bytes: int = 0
    connect_ms: float | None = None
    more: bool = False
    committed: bool = False


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """What a receiver was sent: header names in lower case, the body as it came."""

    headers: Mapping[str, str]
    body: bytes
    path: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider said of a command: its own reference, whether the device has confirmed it, and its answer.

    `result` is the device's answer as JSON, where it gave one.
    """

    reference: str | None = None
    confirmed: bool = False
    result: Any = None


@dataclass(frozen=True, slots=True)
class GeneratedSecret:
    """A secret that we make where none is given, and what a rotation does with the one before it.

    `make` is given the one before it, if any, to make another of its kind. `previous` is the field that keeps that one
    for as long as the other side may know no other, `previous_until` the field that says how long that is.
    """

    make: Callable[[str | None], str]
    previous: str | None = None
    previous_until: str | None = None


class Provider(BaseModel):
    """Base of all providers. Frozen; unknown fields are refused by name."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    label: ClassVar[str]
    """The name people know it by."""

    docs: ClassVar[str]
    """One sentence for the catalogue: what it connects to."""

    replaced_whole: ClassVar[frozenset[str]] = frozenset()
    """Fields that a patch replaces as one value: their inside is the admin's own document."""

    generated: ClassVar[Mapping[str, GeneratedSecret]] = {}
    """The secrets, by field, that are made when a new config does not mention them, and shown once."""

    # From a factory, for a default would be copied in depth for every provider.
    _identity: Identity = PrivateAttr(default_factory=lambda: Identity("", "", ""))

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and _takes_number(cls.model_fields[info.field_name or ""].annotation):
            refuse_truth(value)
        return value

    @property
    def identity(self) -> Identity:
        """The integration this config belongs to; empty ids while the config is not saved yet."""
        return self._identity

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, for hiding them in what others will read."""
        return tuple(_list_values(split_config(self)[1]))

    def mask_text(self, text: str, *, cut: bool = False) -> str:
        """`text` with `***` for each secret of this config; `cut` says that it was cut off at its end."""
        return mask_secrets(text, self.secret_values, cut=cut)

    @classmethod
    def capabilities(cls) -> list[str]:
        """The capabilities this provider has, by the methods it overrides."""
        return [name for name in CAPABILITIES if getattr(cls, name) is not getattr(Provider, name)]

    def check(self) -> Iterator[Check]:
        """Test the connection step by step, within ten seconds; a failed step ends it."""
        raise self._refuse("connection test")

    def session(self, state: dict[str, Any], deadline: Deadline) -> Iterator[Batch]:
        """Poll: yield batches until idle work is done or `deadline` has expired; acknowledge only committed ones.

        `state` is what the last committed batch carried. Raises OutsideError subclasses.
        """
        raise self._refuse("polling session")

    def verify(self, request: PushedRequest) -> None:
        """Raise Unauthenticated unless `request` proves that it comes from the other side."""
        raise self._refuse("receiver")

    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages in a verified request; what can't be decoded is a message with `raw` and `error`."""
        raise self._refuse("receiver")

    def receive(self, request: PushedRequest) -> list[Message]:
        """Verify, then parse. Not for overriding: nothing is parsed that was not verified."""
        self.verify(request)
        return self.parse(request)

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message in a body that was received earlier and could not be decoded then; None where it holds none."""
        raise self._refuse("decoder")

    def deliver(self, event: Event) -> OutboundRequest:
        """Describe the outgoing request for `event`; the dispatcher sends it and judges the reply."""
        raise self._refuse("delivery")

    def send(self, command: Command) -> Outcome:
        """Send a command to a device; raises OutsideError subclasses, CommandRefused where trying again is no use."""
        raise self._refuse("command")

    def devices(self, deadline: Deadline) -> AbstractContextManager[Directory]:
        """The devices the other side manages, while the block runs; every call on them ends by `deadline`."""
        raise self._refuse("device list")

    def state(self, device: str) -> DeviceState:
        """The values that the cloud and one device share, by the device's external id."""
        raise self._refuse("device state")

    def settings(self) -> Settings:
        """The settings that devices get from the other side."""
        raise self._refuse("device settings")

    def history(
        self, begin: datetime, end: datetime, state: dict[str, Any], deadline: Deadline
    ) -> Iterator[Batch]:
        """What devices have said from `begin` until before `end`, as the other side has kept it.

        Each batch has a `state` that goes on after it; its `until` is the moment before which all has been read.
        """
        raise self._refuse("history")

    def firmware(self, deadline: Deadline) -> Firmware:
        """The platform's firmware, for as long as a `with` and until `deadline`."""
        raise self._refuse("firmware")

    def _refuse(self, what: str) -> NotSupported:
        return NotSupported(f"{type(self).label} integrations have no {what}.")


def _takes_number(annotation: Any) -> bool:
    """Whether a field of that type may be a number, and can't be true or false."""
    types = list(_list_types(annotation))
    return bool not in types and any(each in {int, float} or type(each) is int for each in types)


def _list_types(annotation: Any) -> Iterator[Any]:
    """What a type is made of; of a Literal its values."""
    parts = get_args(annotation)
    yield from [each for part in parts for each in _list_types(part)] if parts else [annotation]


def make_provider(cls: type[Provider], config: Mapping[str, Any], identity: Identity) -> Provider:
    """Validate `config` as `cls`. InvalidConfig lists every wrong field by its path, without its value."""
    try:
        provider = cls.model_validate(dict(config))
    except ValidationError as error:
        raise InvalidConfig(
            errors=[_describe_error(item) for item in error.errors(include_url=False)]
        ) from None
    provider._identity = identity  # noqa: SLF001 - set once, here, for the class this module defines
    return provider


def _describe_error(item: Any) -> FieldError:
    path = [str(part) for part in item["loc"]]
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        # Within an object the unknown name may be a misplaced value, so only the object is named.
        within = "" if len(path) == 1 else "In it: "
        path = path[: max(1, len(path) - 1)]
        message = f"{within}Unknown field; see GET /integrations/types for the fields of this type."
    return FieldError(".".join(path) or "config", message)


def split_config(provider: Provider) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was set, as (settings, secrets): two JSON objects that `merge_config` joins again.

    A secret inside an object (a header, say) goes to `secrets` under the same path; its siblings stay.
    """
    plain = provider.model_dump(mode="python", exclude_unset=True, exclude_none=True)
    settings, secrets = _split_object(plain)
    jsonable = type(provider).__pydantic_serializer__.to_python(provider, mode="json", exclude_unset=True)
    return _pick_paths(jsonable, settings), secrets


def _split_object(plain: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    settings: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, SecretStr):
            secrets[name] = value.get_secret_value()
        elif isinstance(value, Mapping):
            settings[name], inner = _split_object(value)
            secrets.update({name: inner} if inner else {})
        else:
            settings[name] = value
    return settings, secrets


def _list_values(secrets: Mapping[str, Any]) -> Iterator[str]:
    for value in secrets.values():
        yield from _list_values(value) if isinstance(value, Mapping) else (str(value),)


def _pick_paths(jsonable: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _pick_paths(jsonable[name], inner) if isinstance(inner, Mapping) else jsonable[name]
        for name, inner in wanted.items()
    }


def merge_config(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396 merge patch: an absent field stays, `null` removes, objects merge."""
    merged = dict(base)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            known = merged.get(name)
            merged[name] = merge_config(known if isinstance(known, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def patch_config(cls: type[Provider], base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`base` merged with `patch`, but for the fields that `cls` replaces whole."""
    whole = {name: patch[name] for name in patch if name in cls.replaced_whole}
    merged = merge_config(base, {name: value for name, value in patch.items() if name not in whole})
    kept = {name: value for name, value in merged.items() if name not in whole}
    return kept | {name: value for name, value in whole.items() if value is not None}


def name_secrets(secrets: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of the secrets that are set, sorted; never their values."""
    names: list[str] = []
    for name, value in secrets.items():
        path = f"{prefix}{name}"
        names += name_secrets(value, f"{path}.") if isinstance(value, Mapping) else [path]
    return sorted(names)


def run_check(name: str, step: Callable[[], str]) -> Check:
    """Run one step of a connection test; `step` returns what it saw, or raises a Problem that says what failed."""
    begun = time.perf_counter()
    try:
        ok, detail = True, step()
    except Problem as problem:
        ok, detail = False, problem.detail
    return Check(name, ok, detail, round((time.perf_counter() - begun) * 1000, 1))
