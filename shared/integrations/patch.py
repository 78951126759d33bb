"""The whole PATCH: the config merged (RFC 7396), validated and, where a secret changed, sealed anew; then written.

A merged config has to be validated as a whole, and secrets that are absent have to be kept, so it reads first. The
write carries the version that was read: what somebody changes meanwhile is read again, never overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from shared.integrations.bodies import ChangedIntegration
from shared.integrations.records import IntegrationRow, SealedRow, read_sealed, write_row
from shared.integrations.sealing import USES, identify_row, locate_row, open_secrets, seal_secrets
from shared.provider import (
    Provider,
    find_provider,
    load_safe_provider,
    merge_config,
    name_secrets,
    patch_config,
    split_config,
)
from shared.runtime.errors import (
    BadRequest,
    Conflict,
    FieldError,
    InvalidConfig,
    PreconditionFailed,
    VaultError,
)
from shared.runtime.web.call import Call
from shared.runtime.web.etags import list_versions

TRIES = 5

UNOPENED = "The stored value can't be opened any more; enter it again."
ELSEWHERE = "The stored value was entered for another address; enter it again."

Patch = Mapping[str, object]
Columns = dict[str, object]


class Merged(NamedTuple):
    """What a patch makes of a row: the provider, the secrets before, and the names of those that go elsewhere now."""

    provider: Provider
    before: dict[str, Any]
    moved: list[str]


def patch_integration(call: Call, body: ChangedIntegration) -> IntegrationRow:
    """The integration as it is now. Errors: BadRequest, InvalidConfig, PreconditionFailed, and those of write_row."""
    columns = body.model_dump(include={"name", "status"}, exclude_unset=True)
    if body.config is not None:
        config = body.config
        return change_config(call, columns, lambda _: config)
    if not columns:
        raise BadRequest("Nothing to change: send name, status or config.")
    versions = list_versions(call.request.headers.get("If-Match"))
    write = {"id": call.integration_id, "values": columns, "versions": versions}
    return write_row(call, "update", write)["integration"]


def change_config(call: Call, columns: Columns, plan: Callable[[SealedRow], Patch]) -> IntegrationRow:
    """Read, merge what `plan` makes of what was read, and write it beside `columns`, while nobody else has."""
    wanted = list_versions(call.request.headers.get("If-Match"))
    for _ in range(TRIES):
        sealed = read_sealed(call)
        if wanted is not None and sealed["version"] not in wanted:
            raise PreconditionFailed
        write = _describe(sealed, merge_patch(sealed, plan(sealed)), columns)
        try:
            return write_row(call, "update", write)["integration"]
        except PreconditionFailed:
            continue
    raise Conflict("Somebody else keeps changing this integration; read it again and retry.")


def merge_patch(sealed: SealedRow, patch: Patch) -> Merged:
    """The row's provider once `patch` is merged.

    InvalidConfig where it is not valid, and for each secret that has to be entered again, because it does not open or
    would be sent elsewhere than where it was entered for.
    """
    cls, before = find_provider(sealed["integration_type"]), _open_secrets(sealed, patch)
    config = patch_config(cls, merge_config(sealed["settings"], before), patch)
    provider = load_safe_provider(config, identify_row(sealed))
    opened = any(not cls.is_kept(name) for name in before)
    sent = [name for name in name_secrets(split_config(provider)[1]) if not cls.is_kept(name)]
    is_moved = opened and bool(sent) and provider.locate(vars(provider)) != locate_row(sealed)
    moved = sent if is_moved else []
    _require_named(moved, patch, ELSEWHERE)
    return Merged(provider, before, moved)


def _describe(sealed: SealedRow, merged: Merged, columns: Columns) -> Columns:
    """What `write_integration` takes. Secrets are left alone where none changes, so that another counter always means
    another secret."""
    settings, after = split_config(merged.provider)
    write: Columns = {
        "id": sealed["id"],
        "values": {**columns, "settings": settings},
        "versions": [sealed["version"]],
    }
    names = name_secrets(after)
    if after == merged.before and sealed["secret_names"] == names and not merged.moved:
        return write
    return write | {
        "values": {**columns, "settings": settings, "secret_names": names},
        "sealed": seal_secrets(merged.provider.identity, settings, after, sealed["seal_count"] + 1),
        "changed_secrets": sorted({*_list_changed(merged.before, after), *merged.moved}),
    }


def _open_secrets(sealed: SealedRow, patch: Patch) -> dict[str, Any]:
    """The secrets as saved. Where those of one use don't open, the patch has to bring them again."""
    secrets: dict[str, Any] = {}
    for use in USES:
        try:
            secrets |= open_secrets(sealed, use)
        except VaultError:
            cls = find_provider(sealed["integration_type"])
            names = [name for name in sealed["secret_names"] if cls.is_kept(name) == (use == "kept")]
            _require_named(names, patch, UNOPENED if use == "kept" else ELSEWHERE)
    return secrets


def _require_named(names: list[str], patch: Patch, message: str) -> None:
    missing = [name for name in names if not _mentions(patch, name)]
    if missing:
        raise InvalidConfig(errors=[FieldError(name, message) for name in missing])


def _mentions(patch: Patch, name: str) -> bool:
    """Whether a patch says what becomes of a secret, by its dotted name; one that removes the field it is in does."""
    field, _, rest = name.partition(".")
    within = patch.get(field, {})
    return name in patch or not isinstance(within, Mapping) or _holds(within, rest)


def _holds(within: Patch, name: str) -> bool:
    # The whole of the name: that of a header may have full stops, and then another may be named like its beginning.
    return name in within or any(
        isinstance(value, Mapping) and name.startswith(f"{key}.") and _holds(value, name[len(key) + 1 :])
        for key, value in within.items()
    )


def _list_changed(old: Patch, new: Patch) -> list[str]:
    before = dict(_walk_secrets(old, ""))
    return sorted(name for name, value in _walk_secrets(new, "") if before.get(name, value) != value)


def _walk_secrets(secrets: Patch, prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in secrets.items():
        if isinstance(value, Mapping):
            yield from _walk_secrets(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
