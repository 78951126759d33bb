"""Check: the codec compiles, where the webhook posts to; Particle answers, the token is known, devices can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, Item, explain_url, run_checks, show_address
from shared.providers.particle.api import Account, ParticleApi

if TYPE_CHECKING:
    from shared.providers.particle import Particle

CHECK_SECONDS = 9.0


def check_product(particle: Particle) -> Iterator[Check]:
    """What comes in first, then what goes out; a failed step ends it. Within `CHECK_SECONDS` in all."""
    steps: list[tuple[str, Callable[[], str]]] = []
    if particle.codec:
        steps.append(("codec", particle.check_codec))
    steps.append(("receive", lambda: _tell_address(particle)))
    if not (particle.access_token or particle.client_id):
        yield from run_checks(steps)
        return
    account = particle.account
    with ParticleApi(account, Deadline(CHECK_SECONDS)) as api:
        steps.append(("address", lambda: explain_url(account.base_url, api.deadline)))
        if account.product_id:
            steps.append(("product", lambda: _find_product(api, account)))
        steps.append(("devices", lambda: _read_devices(api)))
        yield from run_checks(steps)


def _tell_address(particle: Particle) -> str:
    address = show_address(particle.identity)
    return f"Particle's webhooks post to {address}, with webhook_secret."


def _find_product(api: ParticleApi, account: Account) -> str:
    reply = Item(api.call("GET", api.in_scope(), again=False))
    product = reply if reply.text("name") else reply.item("product")
    return f"The token is accepted for the product {product.text('name') or account.product_id}."


def _read_devices(api: ParticleApi) -> str:
    query = {"page": 1, "perPage": 1} if api.account.product_id else {}
    reply = api.call("GET", api.in_scope("devices"), query=query, again=False)
    total = len(reply) if isinstance(reply, list) else Item(reply).item("meta").count("total_records")
    return "Devices can be read." if total is None else f"{total} devices can be read."
