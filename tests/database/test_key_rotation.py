"""Keys in Supabase Vault change by themselves: each step in its time, and no key goes that something is sealed with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.database.fixtures import Service

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 30
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def ring(service: Service) -> Service:
    """A ring of one key, k1, looked at for the first time."""
    service.as_owner("select vault.create_secret('k1:abc', 'integration_keys')")
    assert rotate(service, BEGIN) == {}
    return service


def rotate(service: Service, now: datetime, entry: str | None = None) -> dict[str, str]:
    step: dict[str, str] = service.one("select rotate_keys(%s, %s, %s)", DAYS, entry, now)
    return step


def read_ring(service: Service) -> str:
    return str(service.one("select read_integration_keys()"))


def test_a_key_is_added_first_opens_then_seals_and_the_old_one_goes_when_nothing_needs_it(
    ring: Service,
) -> None:
    integration = ring.make_integration()
    ring.seal(integration, sent="k1.abc")
    due = BEGIN + DAYS * DAY

    assert rotate(ring, due - HOUR) == {}
    assert rotate(ring, due) == rotate(ring, due, "k9:made-for-another-id") == {"wanted": "k2"}
    assert rotate(ring, due, "k2:def") == {"added": "k2"}
    assert (rotate(ring, due + HOUR / 2), read_ring(ring)) == ({}, "k1:abc,k2:def")
    assert rotate(ring, due + HOUR) == {"promoted": "k2"}
    assert (rotate(ring, due + DAY), read_ring(ring)) == ({}, "k2:def,k1:abc")
    assert rotate(ring, due + 3 * DAY) == {}
    ring.seal(integration, sent="k2.abc")
    assert rotate(ring, due + 3 * DAY) == {"retired": "k1"}
    assert (rotate(ring, due + 4 * DAY), read_ring(ring)) == ({}, "k2:def")


def test_no_key_comes_again_under_an_id_that_was_used(ring: Service) -> None:
    due = BEGIN
    for number in (2, 3, 4):
        due += DAYS * DAY + HOUR
        assert rotate(ring, due, f"k{number}:def") == {"added": f"k{number}"}
        assert rotate(ring, due + HOUR) == {"promoted": f"k{number}"}
        assert "retired" in rotate(ring, due + 3 * DAY)
        due += HOUR

    assert read_ring(ring) == "k4:def"


def test_what_an_operator_put_into_the_ring_waits_for_the_operator(ring: Service) -> None:
    ring.as_owner(
        "select vault.update_secret(id, 'k1:abc, mine:xyz') from vault.secrets where name = 'integration_keys'"
    )

    steps = [rotate(ring, BEGIN + days * DAY) for days in (1, 10, 20)]

    assert (steps, read_ring(ring)) == ([{}, {}, {}], "k1:abc, mine:xyz")


def test_a_device_s_credentials_hold_their_key_too(ring: Service) -> None:
    due = BEGIN + DAYS * DAY
    rotate(ring, due, "k2:def")
    rotate(ring, due + HOUR)
    provisioning = ring.one(
        "insert into device_provisionings (organization_id, integration_id, request, credentials, makes_device, due_at)"
        " values (%s, %s, '{}', 'psk', true, now()) returning id",
        ring.organization_id,
        ring.make_integration(),
    )
    ring.as_owner(
        "insert into private.provisioning_secrets (provisioning_id, organization_id, sealed) values (%s, %s, 'k1.abc')",
        provisioning,
        ring.organization_id,
    )

    assert rotate(ring, due + 3 * DAY) == {}


def test_without_a_ring_in_the_vault_nothing_happens(service: Service) -> None:
    assert rotate(service, BEGIN, "k1:abc") == {}
