"""The whole POST: secrets made that none are given for, the config validated and sealed, written once for each key."""

from __future__ import annotations

from dataclasses import replace

from shared.integrations.bodies import NewIntegration
from shared.integrations.records import IntegrationRow, write_row
from shared.integrations.sealing import seal_secrets
from shared.provider import (
    Identity,
    find_provider,
    load_safe_provider,
    name_secrets,
    resolve_type,
    split_config,
)
from shared.runtime.errors import Forbidden, NotFound
from shared.runtime.log import bind_log
from shared.runtime.web.call import Call
from shared.runtime.web.idempotency import bind_fingerprint, check_fingerprint, read_key, seal_fingerprint
from shared.runtime.web.rate_limits import WRITES, take_tokens


def create_integration(call: Call, body: NewIntegration) -> tuple[IntegrationRow, dict[str, str]]:
    """What the database holds now, and the secrets that were made for it; none for an Idempotency-Key that is known.

    Errors: InvalidConfig, IdempotencyMismatch, and those of write_row.
    """
    key, config = read_key(call.request.headers), body.config or {}
    integration_type = resolve_type(body.integration_type, config)
    generated = find_provider(integration_type).generated
    made = {name: secret.make(None) for name, secret in generated.items() if name not in config}
    write = _describe(call, body, integration_type, config | made)
    context = bind_fingerprint(call.user.id, key or "")
    if key:
        write |= {"key": key, "fingerprint": seal_fingerprint(body, context)}
    written = write_row(call, "insert", write)
    if "fingerprint" in written:
        check_fingerprint(written["fingerprint"], body, context)
        call.headers["Idempotent-Replayed"] = "true"
        made = {}
    return written["integration"], made


def _describe(
    call: Call, body: NewIntegration, integration_type: str, config: dict[str, object]
) -> dict[str, object]:
    organization_id = str(body.organization_id)
    bind_log(organization=organization_id)
    identity = Identity(organization_id, "", integration_type, body.name)
    settings, secrets = split_config(load_safe_provider(config, identity))
    # Issued only now: what is not valid costs no id. Secrets are sealed for it, so it can't be chosen by the insert.
    identity = replace(identity, integration_id=_issue_id(call, organization_id))
    values = {
        "id": identity.integration_id,
        "organization_id": organization_id,
        "integration_type": integration_type,
        "name": body.name,
        "status": body.status,
        "settings": settings,
        "secret_names": name_secrets(secrets),
    }
    sealed = {"sealed": seal_secrets(identity, settings, secrets, 1)} if secrets else {}
    return {"values": values, **sealed}


def _issue_id(call: Call, organization_id: str) -> str:
    try:
        issued: str = call.database.call("issue_id", p_organization_id=organization_id)
    except (Forbidden, NotFound):
        # A refused call costs a token too; that of an id that is issued is taken with the insert.
        take_tokens(call, WRITES, p_organization_id=organization_id)
        raise
    return issued
