"""The catalogue: every module or package in `shared/providers` is one `integration_type`, found by its name."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from shared.provider.base import Provider, make_provider
from shared.provider.messages import Identity
from shared.runtime.errors import FieldError, InvalidConfig

PROVIDERS = "shared.providers"


@cache
def list_types() -> tuple[str, ...]:
    """Every integration type there is, sorted; nothing is imported for it but their folder."""
    folder = import_module(PROVIDERS).__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folder)))


@cache
def find_provider(integration_type: str) -> type[Provider]:
    """The class for `integration_type`; InvalidConfig lists the known types otherwise."""
    if integration_type not in list_types():
        known = ", ".join(list_types())
        raise InvalidConfig(errors=[FieldError("integration_type", f"Unknown type; one of: {known}.")])
    module = import_module(f"{PROVIDERS}.{integration_type}")
    (provider,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Provider) and value.__module__ == module.__name__
    )
    return provider


def load_safe_provider(config: Mapping[str, object], identity: Identity) -> Provider:
    """As `load_provider`, for a config that somebody enters now: InvalidConfig for its risks too."""
    provider = load_provider(config, identity)
    if risks := list(provider.list_risks()):
        raise InvalidConfig(errors=risks)
    return provider


def load_provider(config: Mapping[str, object], identity: Identity) -> Provider:
    """Validate `config` as the provider of `identity.integration_type`. InvalidConfig names every wrong field."""
    return make_provider(find_provider(identity.integration_type), config, identity)
