"""A Particle provider over a fake of the API."""

from __future__ import annotations

from typing import Any

from shared.provider import Identity, make_provider
from shared.providers.particle import Particle
from tests.fakes.particle.server import FakeParticle

IDENTITY = Identity("o", "i", "particle")


def make_particle(fake: FakeParticle | None = None, **config: Any) -> Particle:
    """A provider of the fake's product, or of one that has no API; `config` replaces or adds fields."""
    account = {"base_url": fake.url, "access_token": fake.token} if fake else {}
    given = {"product_id": "30301", "webhook_secret": "secret-0123456789ab"} | account | config
    made = make_provider(Particle, {name: each for name, each in given.items() if each is not None}, IDENTITY)
    assert isinstance(made, Particle)
    return made
