"""How a PATCH changes a config: RFC 7396 merge patch, but for fields that are one document."""

from __future__ import annotations

from collections.abc import Mapping

from shared.provider.base import Provider


def merge_config(base: Mapping[str, object], patch: Mapping[str, object]) -> dict[str, object]:
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


def patch_config(
    cls: type[Provider], base: Mapping[str, object], patch: Mapping[str, object]
) -> dict[str, object]:
    """`base` merged with `patch`, but for the fields that `cls` replaces whole."""
    whole = {name: patch[name] for name in patch if name in cls.replaced_whole}
    merged = merge_config(base, {name: value for name, value in patch.items() if name not in whole})
    kept = {name: value for name, value in merged.items() if name not in whole}
    return kept | {name: value for name, value in whole.items() if value is not None}
