"""What every provider is: a frozen pydantic model of one integration's config, and what it can do.

A provider is one class in one module or package, `shared/providers/<integration_type>`. Its fields are the config
(secrets are `SecretStr`), its capabilities are the mixins it derives from. See docs/add-a-provider.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from shared.provider.form import Group, add_keywords, make_title
from shared.provider.messages import Identity
from shared.provider.secrets import RotatingSecret, list_values, split_config
from shared.runtime.errors import FieldError, InvalidConfig
from shared.runtime.masking import mask_secrets
from shared.runtime.numbers import list_types, refuse_conversion
from shared.runtime.sentences import explain_error, list_details

UNKNOWN = "Unknown field; see GET /integrations/types for the fields of this type."
UNKNOWN_WITHIN = "It has a name in it that is not known; see GET /integrations/types for those that are."

Destination = tuple[str, ...]
"""One place that secrets are sent to; two spellings of it are equal."""


class Provider(BaseModel):
    """Base of all providers. Frozen; unknown fields are refused by name."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        field_title_generator=make_title,
    )

    label: ClassVar[str]
    """The name people know it by."""

    docs: ClassVar[str]
    """One sentence for the catalogue: what it connects to."""

    groups: ClassVar[tuple[Group, ...]] = ()
    """How the fields are grouped in a form: those of the provider first, then those of its mixins."""

    replaced_whole: ClassVar[frozenset[str]] = frozenset()
    """Fields that a patch replaces as one value: their inside is the admin's own document."""

    generated: ClassVar[Mapping[str, RotatingSecret]] = {}
    """The secrets, by field, that are made when a new config does not mention them, and shown once."""

    kept: ClassVar[frozenset[str]] = frozenset()
    """Secrets of a mixin or provider, by field, that never leave: what signs, and what proves who sends to us.

    All others are taken for sent: their seal is bound to where they may be sent, which `locate` says.
    """

    read_in_sql: ClassVar[frozenset[str]] = frozenset()
    """The fields of a mixin that the database reads by their name in `settings`."""

    # From a factory, for a default would be copied in depth for every provider.
    _identity: Identity = PrivateAttr(default_factory=lambda: Identity("", "", ""))

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_other_types(cls, value: Any, info: ValidationInfo) -> Any:
        if type(value) in {bool, int, float, str}:
            annotation: Any = cls.model_fields[info.field_name or ""].annotation
            refuse_conversion(value, list_types(annotation))
        return value

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the secrets that are sent go: scheme, host, port, and what else says who is there.

        `config` is its stored settings, which may have been written past the API, or its valid fields: what both are
        read as has to be one place, or the secrets stay sealed. ValueError where it names none.
        """
        raise NotImplementedError(f"{cls.__name__} has secrets that are sent: say where to, with locate()")

    @classmethod
    def is_kept(cls, name: str) -> bool:
        """Whether a secret never leaves, by its field or by its dotted name within one."""
        field = name.partition(".")[0]
        return any(field in vars(each).get("kept", ()) for each in cls.__mro__)

    def list_risks(self) -> Iterator[FieldError]:
        """What no new config may have, though one that has it goes on, and is warned."""
        yield from ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = handler(core)
        groups = (group for each in cls.__mro__ for group in vars(each).get("groups", ()))
        add_keywords(handler.resolve_ref_schema(written), groups)
        return written

    @property
    def identity(self) -> Identity:
        """The integration this config belongs to; empty ids while the config is not saved yet."""
        return self._identity

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, for hiding them in what others will read."""
        return tuple(list_values(split_config(self)[1]))

    def mask_text(self, text: str, *, cut: bool = False) -> str:
        """`text` with `***` for each secret of this config; `cut` says that it was cut off at its end."""
        return mask_secrets(text, self.secret_values, cut=cut)

    @classmethod
    def capabilities(cls) -> list[str]:
        """The names of the capabilities that are mixed in, in the order of the catalogue."""
        from shared.provider.capabilities import list_capabilities

        return list_capabilities(cls)


class Capability(Provider, defer_build=True):
    """Base of the mixins: what the provider can do, by the name of its method, and what one without it has not."""

    capability: ClassVar[str]
    lacking: ClassVar[str]

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        # A mixin, which has no label, is never validated by itself: building its validator would cost every cold start.
        # A provider's is built at once, while its module is imported, for several threads use it.
        if hasattr(cls, "label"):
            cls.model_rebuild(raise_errors=False)


def make_provider(cls: type[Provider], config: Mapping[str, object], identity: Identity) -> Provider:
    """Validate `config` as `cls`. InvalidConfig lists every wrong field by its path, without its value."""
    try:
        provider = cls.model_validate(dict(config))
    except ValidationError as error:
        raise InvalidConfig(errors=[_describe_error(item) for item in list_details(error)]) from None
    provider._identity = identity  # noqa: SLF001 - set once, here, for the class this module defines
    return provider


def _describe_error(item: ErrorDetails) -> FieldError:
    path, message = [str(part) for part in item["loc"]], explain_error(item)
    if item["type"] == "extra_forbidden":
        # Within an object the unknown name may be a misplaced value, so only the object is named.
        message = UNKNOWN if len(path) == 1 else UNKNOWN_WITHIN
        path = path[: max(1, len(path) - 1)]
    return FieldError(".".join(path) or "config", message)
