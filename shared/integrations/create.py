"""The whole POST: secrets made that none are given for, the config validated and sealed, written once for each key."""

from __future__ import annotations

import uuid
from typing import Any

from shared.integrations.bodies import NewIntegration
from shared.integrations.records import IntegrationRow, write_row
from shared.integrations.sealing import seal_provider
from shared.provider import Identity, find_provider, load_provider
from shared.runtime.log import bind_log
from shared.runtime.web.call import Call
from shared.runtime.web.idempotency import bind_fingerprint, check_fingerprint, read_key, seal_fingerprint


def create_integration(call: Call, body: NewIntegration) -> tuple[IntegrationRow, dict[str, str]]:
    """What the database holds now, and the secrets that were made for it; none for an Idempotency-Key that is known.

    Errors: InvalidConfig, IdempotencyMismatch, and those of write_row.
    """
    key, config = read_key(call.request.headers), body.config or {}
    generated = find_provider(body.integration_type).generated
    made = {name: secret.make(None) for name, secret in generated.items() if name not in config}
    write: dict[str, object] = {"values": _fill_columns(body, config | made)}
    context = bind_fingerprint(call.user.id, key or "")
    if key:
        write |= {"key": key, "fingerprint": seal_fingerprint(body, context)}
    written = write_row(call, "insert", write)
    if "fingerprint" in written:
        check_fingerprint(written["fingerprint"], body, context)
        call.headers["Idempotent-Replayed"] = "true"
        made = {}
    return written["integration"], made


def _fill_columns(body: NewIntegration, config: dict[str, Any]) -> dict[str, object]:
    organization_id, integration_id = str(body.organization_id), str(uuid.uuid4())
    bind_log(organization=organization_id)
    identity = Identity(organization_id, integration_id, body.integration_type, body.name)
    return {
        "id": integration_id,
        "organization_id": organization_id,
        "integration_type": body.integration_type,
        "name": body.name,
        "status": body.status,
        **seal_provider(load_provider(config, identity)),
    }
