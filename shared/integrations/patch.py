"""The whole PATCH: the config merged (RFC 7396), validated and, where a secret changed, sealed anew; then written.

A merged config has to be validated as a whole, and secrets that are absent have to be kept, so it reads first. The
write carries the version that was read: what somebody changes meanwhile is read again, never overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.integrations.bodies import ChangedIntegration
from shared.integrations.records import IntegrationRow, SealedRow, read_sealed, write_row
from shared.integrations.sealing import identify_row, open_secrets, seal_provider
from shared.provider import (
    find_provider,
    load_provider,
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

Patch = Mapping[str, object]
Columns = dict[str, object]


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
        changed, secrets = _merge(sealed, plan(sealed))
        write = {
            "id": call.integration_id,
            "values": columns | changed,
            "versions": [sealed["version"]],
            "changed_secrets": secrets,
        }
        try:
            return write_row(call, "update", write)["integration"]
        except PreconditionFailed:
            continue
    raise Conflict("Somebody else keeps changing this integration; read it again and retry.")


def _merge(sealed: SealedRow, patch: Patch) -> tuple[Columns, list[str]]:
    """The columns to write and the names of the secrets whose value changes; InvalidConfig where it is not valid.

    Secrets are left alone where none changes, so that a new seal in the database always means a new secret.
    """
    secrets = _open_secrets(sealed, patch)
    saved = merge_config(sealed["settings"], secrets)
    config = patch_config(find_provider(sealed["integration_type"]), saved, patch)
    provider = load_provider(config, identify_row(sealed))
    settings, wanted = split_config(provider)
    if wanted == secrets and sealed["secret_names"] == name_secrets(secrets):
        return {"settings": settings}, []
    return {**seal_provider(provider)}, _list_changed(secrets, wanted)


def _open_secrets(sealed: SealedRow, patch: Patch) -> dict[str, Any]:
    """The secrets as saved. Where they don't open, the patch has to bring them all again."""
    try:
        return open_secrets(sealed)
    except VaultError:
        missing = [name for name in sealed["secret_names"] if name.split(".")[0] not in patch]
        if missing:
            message = "The stored value can't be opened any more; enter it again."
            raise InvalidConfig(errors=[FieldError(name, message) for name in missing]) from None
        return {}


def _list_changed(old: Patch, new: Patch) -> list[str]:
    before = dict(_walk_secrets(old, ""))
    return sorted(name for name, value in _walk_secrets(new, "") if before.get(name, value) != value)


def _walk_secrets(secrets: Patch, prefix: str) -> Iterator[tuple[str, object]]:
    for name, value in secrets.items():
        if isinstance(value, Mapping):
            yield from _walk_secrets(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
