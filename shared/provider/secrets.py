"""The secrets of a config: told apart from its settings, named, and rotated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from pydantic import BaseModel, SecretStr


@dataclass(frozen=True)
class RotatingSecret:
    """A secret, by its field, that we make where none is given, and that a rotation replaces by another.

    `make` is given the one before it, if any, to make another of its kind. That one is kept in `previous` for as long
    as the other side may know no other, until the time in `previous_until`.
    """

    name: str
    make: Callable[[str | None], str]

    @cached_property
    def previous(self) -> str:
        """The field of the secret before this one."""
        return f"previous_{self.name}"

    @cached_property
    def previous_until(self) -> str:
        """The field that says when that one ends."""
        return f"previous_{self.name}_until"

    def list_valid(self, config: BaseModel) -> list[str]:
        """Those that count now, the current one first."""
        until: datetime | None = getattr(config, self.previous_until)
        names = [self.name] if until and until <= datetime.now(UTC) else [self.name, self.previous]
        secrets: list[SecretStr | None] = [getattr(config, name) for name in names]
        return [secret.get_secret_value() for secret in secrets if secret]


def reveal(secret: SecretStr | None) -> str | None:
    """The secret itself; None where it is left out."""
    return secret.get_secret_value() if secret else None


def split_config(config: BaseModel) -> tuple[dict[str, object], dict[str, object]]:
    """What was set, as (settings, secrets): two JSON objects that `merge_config` joins again.

    A secret inside an object (a header, say) goes to `secrets` under the same path; its siblings stay.
    """
    plain = config.model_dump(mode="python", exclude_unset=True, exclude_none=True)
    settings, secrets = _split_object(plain)
    jsonable = type(config).__pydantic_serializer__.to_python(config, mode="json", exclude_unset=True)
    return _pick_paths(jsonable, settings), secrets


def _split_object(plain: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    settings: dict[str, object] = {}
    secrets: dict[str, object] = {}
    for name, value in plain.items():
        if isinstance(value, SecretStr):
            secrets[name] = value.get_secret_value()
        elif isinstance(value, Mapping):
            settings[name], inner = _split_object(value)
            secrets.update({name: inner} if inner else {})
        else:
            settings[name] = value
    return settings, secrets


def list_values(secrets: Mapping[str, object]) -> Iterator[str]:
    """The values of `secrets`, those inside objects too."""
    for value in secrets.values():
        yield from list_values(value) if isinstance(value, Mapping) else (str(value),)


def _pick_paths(jsonable: object, wanted: Mapping[str, object]) -> dict[str, object]:
    found = jsonable if isinstance(jsonable, Mapping) else {}
    return {
        name: _pick_paths(found[name], inner) if isinstance(inner, Mapping) else found[name]
        for name, inner in wanted.items()
    }


def name_secrets(secrets: Mapping[str, object], prefix: str = "") -> list[str]:
    """The dotted names of the secrets that are set, sorted; never their values."""
    names: list[str] = []
    for name, value in secrets.items():
        path = f"{prefix}{name}"
        names += name_secrets(value, f"{path}.") if isinstance(value, Mapping) else [path]
    return sorted(names)
