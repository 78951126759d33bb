"""The catalogue: every module or package in `shared/providers` is one `integration_type`, found by its name."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module

from shared.provider.base import Provider, make_provider
from shared.provider.merge_patch import patch_config
from shared.provider.messages import Identity
from shared.provider.secrets import split_config
from shared.runtime.errors import FieldError, InvalidConfig
from shared.runtime.portable import LEVELS, measure_json, replace_nul

PROVIDERS = "shared.providers"
SETTINGS_BYTES = 262_144
FAMILIES = {"lora": "lorawan_"}
"""Names that stand for several types, and how those begin; `list_integrations` in SQL knows them too."""


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


def resolve_type(name: str, config: Mapping[str, object]) -> str:
    """The type that is meant by `name`: itself, or of a family the one that the config is of."""
    if name not in FAMILIES:
        return name
    members = [each for each in list_types() if each.startswith(FAMILIES[name])]
    return min(members, key=lambda each: _count_wrong(each, config))


def _count_wrong(integration_type: str, config: Mapping[str, object]) -> tuple[int, int]:
    """How many of the names in a config are no fields of the type, and how many fields are wrong."""
    provider = find_provider(integration_type)
    unknown = sum(name not in provider.model_fields for name in config)
    try:
        load_provider(patch_config(provider, {}, config), Identity("", "", integration_type))
    except InvalidConfig as invalid:
        return unknown, len(invalid.errors)
    return unknown, 0


def load_safe_provider(config: Mapping[str, object], identity: Identity) -> Provider:
    """As `load_provider`, for a config that somebody enters now: InvalidConfig for its risks and its size too.

    A null in it counts as absent, as in a patch.
    """
    provider = load_provider(patch_config(find_provider(identity.integration_type), {}, config), identity)
    if wrong := [*provider.list_risks(), *_list_unportable(provider)]:
        raise InvalidConfig(errors=wrong)
    return provider


def load_provider(config: Mapping[str, object], identity: Identity) -> Provider:
    """Validate `config` as the provider of `identity.integration_type`. InvalidConfig names every wrong field."""
    return make_provider(find_provider(identity.integration_type), config, identity)


def _list_unportable(provider: Provider) -> Iterator[FieldError]:
    """The fields that the database can't hold: too deep, with NUL, and the largest where all together are too large."""
    settings = split_config(provider)[0]
    sizes = {name: measure_json([value], SETTINGS_BYTES) for name, value in settings.items()}
    for name, (_, levels) in sizes.items():
        if levels > LEVELS:
            yield FieldError(name, f"At most {LEVELS} levels.")
        elif replace_nul(settings[name]) != settings[name]:
            yield FieldError(
                name, "It has a NUL character (U+0000), which no database keeps: leave that out."
            )
    if sum(len(name) + 4 + size for name, (size, _) in sizes.items()) > SETTINGS_BYTES:
        yield FieldError(
            max(sizes, key=lambda name: sizes[name][0]),
            f"The largest of the settings, of which all together have at most {SETTINGS_BYTES} bytes.",
        )
