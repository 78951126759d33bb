"""The capabilities a provider may have: each is a mixin, in a module of its name."""

from __future__ import annotations

from typing import TypeVar, cast

from shared.provider.base import Capability, Provider
from shared.provider.callback import CallbackReceiver
from shared.provider.check import Checker
from shared.provider.decode import Decoder
from shared.provider.deliver import Subscriber
from shared.provider.devices import Syncer
from shared.provider.firmware import FirmwareKeeper
from shared.provider.history import Historian
from shared.provider.parse import Receiver
from shared.provider.publish import Publisher
from shared.provider.send import Commander
from shared.provider.session import Poller
from shared.provider.settings import SettingsKeeper
from shared.provider.state import StateKeeper
from shared.runtime.errors import NotSupported

Mixin = TypeVar("Mixin", bound=Capability)

MIXINS: tuple[type[Capability], ...] = (
    *(Checker, Poller, Receiver, Decoder, Subscriber, Publisher, CallbackReceiver, Commander, Syncer),
    *(StateKeeper, SettingsKeeper, Historian, FirmwareKeeper),
)
"""In the order of the catalogue."""


def list_capabilities(provider: type[Provider]) -> list[str]:
    """The names of the capabilities that are mixed in."""
    return [mixin.capability for mixin in MIXINS if issubclass(provider, mixin)]


def require(provider: Provider, mixin: type[Mixin]) -> Mixin:
    """`provider` as what it has to be able to do; NotSupported where that is not mixed in."""
    require_class(type(provider), mixin)
    return cast("Mixin", provider)


def require_class(provider: type[Provider], mixin: type[Mixin]) -> type[Mixin]:
    """As `require`, for what can be asked of the class."""
    if not issubclass(provider, mixin):
        raise NotSupported(f"{provider.label} integrations have no {mixin.lacking}.")
    return provider
