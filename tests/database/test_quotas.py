"""Bounds of an organization hold exactly, however many ask at once, and say what they are and who can raise them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.tenant import Tenant, open_tenant, race
from tests.stack import Stack

AT_ONCE = 8
INSERTS: dict[str, LiteralString] = {
    "integrations": "insert into device_integrations (organization_id, integration_type, name)"
    " values (%(organization)s, 'mqtt', gen_random_uuid())",
    "subscribers": "insert into device_integrations (organization_id, integration_type, name, settings)"
    " values (%(organization)s, 'webhook', gen_random_uuid(), '{\"events\": [\"*\"]}')",
    "devices": "insert into devices (organization_id, external_id, name)"
    " values (%(organization)s, gen_random_uuid(), 'x')",
    "pending_commands": "insert into device_commands (device_id, name)"
    " select id, 'x' from devices where external_id = 'commanded'",
    "open_jobs": "insert into integration_jobs (organization_id, integration_id, kind)"
    " select organization_id, id, 'sync' from device_integrations where name = %(number)s",
}
"""What a user makes one more by."""


@pytest.fixture
def tenant(stack: Stack) -> Iterator[Tenant]:
    with open_tenant(stack) as opened:
        yield opened


def furnish(tenant: Tenant) -> None:
    """A device to command, and integrations to begin jobs of."""
    integration = tenant.integrate()
    tenant.own(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%(organization)s, %(integration)s, 'commanded', 'x')",
        integration=integration,
    )
    tenant.own(
        "insert into device_integrations (organization_id, integration_type, name)"
        " select %(organization)s, 'golioth', n from generate_series(0, 8) n"
    )


def count(tenant: Tenant, bound: str) -> int:
    used: int = tenant.own("select private.count_used(%(organization)s, %(bound)s)", bound=bound)
    return used


def refusals(results: list[Any]) -> list[tuple[str | None, str | None]]:
    return [
        (result.sqlstate, result.diag.message_hint) for result in results if isinstance(result, psycopg.Error)
    ]


@pytest.mark.parametrize("bound", INSERTS)
def test_of_many_at_once_exactly_as_many_get_in_as_there_is_room_for(tenant: Tenant, bound: str) -> None:
    furnish(tenant)
    tenant.set_quota(bound, count(tenant, bound) + 3)

    results = race(AT_ONCE, lambda number: tenant.act(INSERTS[bound], number=str(number)))

    assert refusals(results) == [("PT409", "quota_exceeded")] * (AT_ONCE - 3)
    assert count(tenant, bound) == tenant.own(
        "select private.read_quota(%(organization)s, %(bound)s)", bound=bound
    )


@pytest.mark.parametrize("bound", INSERTS)
def test_many_in_one_statement_get_in_all_or_none(tenant: Tenant, bound: str) -> None:
    furnish(tenant)
    before = count(tenant, bound)
    tenant.set_quota(bound, before + 1)
    doubled: LiteralString = INSERTS[bound] + "; " + INSERTS[bound].replace("%(number)s", "'1'")

    with pytest.raises(psycopg.Error) as refused:
        tenant.act_at_once(doubled, number="0")

    assert refused.value.sqlstate == "PT409"
    assert count(tenant, bound) == before


def test_the_refusal_names_the_bound_and_who_can_raise_it(tenant: Tenant) -> None:
    tenant.set_quota("subscribers", 0)

    with pytest.raises(psycopg.Error) as refused:
        tenant.act(INSERTS["subscribers"])

    assert "0 subscribers" in str(refused.value)
    assert "operator of this platform" in str(refused.value)
    assert refused.value.diag.message_detail == '{"most": 0, "bound": "subscribers"}'


def test_the_same_through_the_function_of_the_api(tenant: Tenant) -> None:
    tenant.set_quota("integrations", 2)

    def create(number: int) -> Any:
        values = {"id": str(tenant.act("select issue_id(%(organization)s)")), "name": str(number)}
        values |= {"organization_id": tenant.organization, "integration_type": "mqtt", "status": "active"}
        write = Jsonb({"values": {**values, "settings": {}, "secret_names": []}})
        return tenant.act("select write_integration('insert', %(write)s)", write=write)

    results = race(AT_ONCE, create)

    problems = [result["problem"] for result in results if "problem" in result]
    assert [(each["code"], each["hint"]) for each in problems] == [("PT409", "quota_exceeded")] * 6
    assert count(tenant, "integrations") == 2


def test_a_subscriber_that_is_switched_on_again_counts_like_a_new_one(tenant: Tenant) -> None:
    for number in range(AT_ONCE):
        tenant.own(
            "insert into device_integrations (organization_id, integration_type, name, status, settings)"
            " values (%(organization)s, 'webhook', %(number)s, 'inactive', '{\"events\": [\"*\"]}')",
            number=str(number),
        )
    tenant.set_quota("subscribers", 3)

    results = race(
        AT_ONCE,
        lambda number: tenant.act(
            "update device_integrations set status = 'active' where name = %(number)s", number=str(number)
        ),
    )

    assert (len(refusals(results)), count(tenant, "subscribers")) == (5, 3)


def test_settings_secrets_and_metadata_have_their_bytes(tenant: Tenant) -> None:
    # Of random text, for what is stored compressed counts as it is stored.
    large: LiteralString = (
        "(select jsonb_build_object('x', string_agg(md5(n::text), '')) from generate_series(1, 300) n)"
    )
    integration = tenant.integrate()
    device = tenant.own(
        "insert into devices (organization_id, external_id, name) values (%(organization)s, 'd', 'd') returning id"
    )
    for bound in ("settings_bytes", "secret_bytes", "metadata_bytes"):
        tenant.set_quota(bound, 5_000)
    sealed = Jsonb({"sent": f"k1.{'A' * 6000}", "kept": None, "count": 1})

    told = tenant.act(
        "select write_integration('update', jsonb_build_object('id', %(id)s::uuid, 'values', '{}'::jsonb,"
        " 'sealed', %(sealed)s::jsonb))",
        id=integration,
        sealed=sealed,
    )
    change: LiteralString = f"update device_integrations set settings = {large} where id = %(id)s"
    edit: LiteralString = f"update devices set metadata = {large} where id = %(id)s"
    settings = race(1, lambda _: tenant.act(change, id=integration))
    metadata = race(1, lambda _: tenant.act(edit, id=device))

    assert (told["problem"]["code"], told["problem"]["hint"]) == ("PT409", "quota_exceeded")
    assert "secret bytes" in told["problem"]["message"]
    assert refusals(settings) == refusals(metadata) == [("PT409", "quota_exceeded")]
    assert "settings bytes" in str(settings[0])
    assert "metadata bytes" in str(metadata[0])


def test_metadata_as_people_write_it_takes_nothing_of_the_bytes(tenant: Tenant) -> None:
    tenant.set_quota("metadata_bytes", 0)

    tenant.act(
        "insert into devices (organization_id, external_id, name, metadata)"
        " values (%(organization)s, 'd', 'd', '{\"room\": \"A\"}')"
    )

    assert count(tenant, "devices") == 1


def say(tenant: Tenant, integration: str, *devices: str) -> Any:
    """`ingest_messages` of one message of each device; its counts."""
    messages = [
        {"event_id": str(uuid.uuid4()), "device": device, "kind": "event", "payload": {}}
        for device in devices
    ]
    return tenant.serve(
        "select ingest_messages(%(integration)s, %(messages)s)",
        integration=integration,
        messages=Jsonb(messages),
    )


def test_devices_that_make_themselves_known_are_held_to_the_bound_and_their_messages_are_kept(
    tenant: Tenant,
) -> None:
    tenant.set_quota("devices", 5)
    integration = tenant.integrate()

    counts = say(tenant, integration, *(f"d{number}" for number in range(9)))

    assert (counts["stored"], counts["devices"], count(tenant, "devices")) == (9, 5, 5)
    assert (
        tenant.own(
            "select count(*) from device_messages where organization_id = %(organization)s and device_id is null"
            " and external_id is not null"
        )
        == 4
    )


def test_a_known_device_goes_on_being_heard_at_the_bound(tenant: Tenant) -> None:
    tenant.set_quota("devices", 1)
    integration = tenant.integrate()
    say(tenant, integration, "known")

    counts = say(tenant, integration, "known", "new")

    assert (counts["stored"], counts["devices"]) == (2, 0)
    assert (
        tenant.own(
            "select count(*) from device_messages where organization_id = %(organization)s and device_id is not null"
        )
        == 2
    )


@pytest.mark.parametrize("most", [3, 40, 200])
def test_batches_at_once_never_pass_the_bound_and_wait_for_nobody(tenant: Tenant, most: int) -> None:
    tenant.set_quota("devices", most)
    integrations = [tenant.integrate() for _ in range(AT_ONCE)]

    results = race(
        AT_ONCE,
        lambda number: say(tenant, integrations[number], *(f"{number}-{n}" for n in range(most // 3))),
    )

    assert [result["stored"] for result in results] == [most // 3] * AT_ONCE
    assert 0 < count(tenant, "devices") <= most


def test_one_transaction_that_stores_for_many_integrations_keeps_to_it_too(tenant: Tenant) -> None:
    tenant.set_quota("devices", 20)
    posts = [
        {
            "integration_id": tenant.integrate(),
            "requests": 1,
            "messages": [
                {"event_id": f"{number}-{n}", "device": f"{number}-{n}", "kind": "event"} for n in range(7)
            ],
        }
        for number in range(5)
    ]

    told = tenant.serve("select receive_messages(%(posts)s)", posts=Jsonb(posts))

    assert {counts["stored"] for counts in told.values()} == {7}
    assert count(tenant, "devices") == 20


def test_admins_and_devices_that_come_at_once_keep_to_it_together(tenant: Tenant) -> None:
    tenant.set_quota("devices", 10)
    integration = tenant.integrate()

    race(
        AT_ONCE,
        lambda number: (
            tenant.act(INSERTS["devices"])
            if number % 2
            else say(tenant, integration, *(f"{number}-{n}" for n in range(4)))
        ),
    )

    assert count(tenant, "devices") <= 10


def join_others(tenant: Tenant, count: int) -> list[str]:
    """Organizations of others, in which the tenant's owner is an admin."""
    made: list[str] = tenant.own(
        "with made as (insert into organizations (name) select 'Another' from generate_series(1, %(count)s)"
        " returning id),"
        " joined as (insert into organization_members (organization_id, user_id, role)"
        " select id, %(owner)s, 'admin' from made)"
        " select array_agg(id::text) from made",
        count=count,
        owner=tenant.owner,
    )
    return made


@pytest.fixture
def others(tenant: Tenant) -> Iterator[list[str]]:
    made = join_others(tenant, 101)
    yield made
    tenant.own("delete from organizations where id = any (%(made)s::uuid[])", made=made)
    tenant.own(
        "delete from private.ended_organizations where organization_id = any (%(made)s::uuid[])", made=made
    )


def test_whoever_belongs_to_many_organizations_locks_nothing_of_those_that_get_no_device(
    tenant: Tenant, others: list[str]
) -> None:
    with tenant.stack.connect() as connection:
        claims = Jsonb({"role": "authenticated", "sub": tenant.owner})
        connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,))
        connection.execute("set local role authenticated")
        connection.execute(INSERTS["devices"], {"organization": tenant.organization})
        locks = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        ).fetchone()
        connection.rollback()

    assert len(others) > 100
    assert locks == (9,)


def test_devices_are_added_to_one_organization_at_a_time(tenant: Tenant, others: list[str]) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="one organization at a time"):
        tenant.act(
            "insert into devices (organization_id, external_id, name)"
            " select o, gen_random_uuid(), 'x' from unnest(array[%(organization)s, %(other)s]::uuid[]) o",
            other=others[0],
        )


def test_nobody_holds_up_the_devices_of_an_organization_that_is_not_theirs(
    tenant: Tenant, stack: Stack
) -> None:
    other = stack.user("owner", 1).organization_id
    with stack.connect() as connection:
        connection.execute("select private.hold_devices(%s)", (other,))

        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            tenant.act(INSERTS["devices"].replace("%(organization)s", "%(other)s"), other=other)
        connection.rollback()


def test_a_statement_changes_what_a_hundred_organizations_have_and_no_more(
    tenant: Tenant, others: list[str]
) -> None:
    insert: LiteralString = (
        "insert into device_integrations (organization_id, integration_type, name)"
        " select o, 'mqtt', 'x' from unnest(%(others)s::uuid[]) o"
    )

    tenant.act(insert, others=others[:100])
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="100 organizations"):
        tenant.act(insert.replace("'x'", "'y'"), others=others)

    assert (
        tenant.own("select count(*) from device_integrations where organization_id = any (%(o)s)", o=others)
        == 100
    )


def test_a_device_that_is_gone_leaves_its_room_to_another(tenant: Tenant) -> None:
    tenant.set_quota("devices", 1)
    tenant.act(INSERTS["devices"])
    tenant.act("delete from devices")

    tenant.act(INSERTS["devices"])

    assert count(tenant, "devices") == 1


def test_devices_that_a_deleted_integration_left_behind_count(tenant: Tenant) -> None:
    tenant.set_quota("devices", 2)
    say(tenant, tenant.integrate(), "a", "b")
    tenant.act("delete from device_integrations")

    with pytest.raises(psycopg.Error, match="devices"):
        tenant.act(INSERTS["devices"])


def test_a_device_beyond_the_bound_is_not_begun_at_a_provider(tenant: Tenant) -> None:
    tenant.set_quota("devices", 0)

    with pytest.raises(psycopg.Error) as refused:
        tenant.act(
            "select begin_provisioning(%(id)s, jsonb_build_object('id', issue_id(%(organization)s), 'request',"
            ' \'{"name": "x", "hardware_ids": [], "tags": []}\'::jsonb, \'metadata\', \'{}\'::jsonb,'
            " 'credentials', 'none', 'lease_seconds', 60))",
            id=tenant.integrate(),
        )

    assert (refused.value.sqlstate, count(tenant, "devices")) == ("PT409", 0)


def test_ids_that_devices_at_a_provider_have_used_up_count(tenant: Tenant) -> None:
    integration = tenant.integrate()
    tenant.set_quota("integration_ids", 1)

    with pytest.raises(psycopg.Error, match="integration ids"):
        tenant.act(
            "select begin_provisioning(%(id)s, jsonb_build_object('id', issue_id(%(organization)s), 'request',"
            ' \'{"name": "x", "hardware_ids": [], "tags": []}\'::jsonb, \'metadata\', \'{}\'::jsonb,'
            " 'credentials', 'none', 'lease_seconds', 60))",
            id=integration,
        )


def test_a_sync_makes_as_many_as_there_is_room_for_and_says_of_the_others_that_there_is_none(
    tenant: Tenant,
) -> None:
    tenant.set_quota("devices", 2)
    integration = tenant.integrate()
    token = str(uuid.uuid4())
    job = tenant.own(
        "insert into integration_jobs (organization_id, integration_id, kind, status, lease_token)"
        " values (%(organization)s, %(id)s, 'sync', 'running', %(token)s) returning id",
        id=integration,
        token=token,
    )
    remotes = [{"id": f"r{n}", "name": f"r{n}", "hardware_ids": [], "tags": []} for n in range(5)]
    options = {"direction": "import", "conflicts": "manual", "create_missing": True, "update_existing": True}

    done = tenant.serve(
        "select sync_devices(%(job)s, %(token)s, %(remotes)s, %(options)s)",
        job=job,
        token=token,
        remotes=Jsonb(remotes),
        options=Jsonb(options | {"room": 100, "online_minutes": 60, "dry_run": False}),
    )

    assert [row["action"] for row in done] == ["created", "created", "over_limit", "over_limit", "over_limit"]
    assert count(tenant, "devices") == 2


def test_replies_of_idempotency_keys_have_their_bytes(tenant: Tenant) -> None:
    tenant.set_quota("idempotency_keys", 1)

    def create(key: str) -> Any:
        values = {"id": str(tenant.act("select issue_id(%(organization)s)")), "name": key, "settings": {}}
        values |= {"organization_id": tenant.organization, "integration_type": "mqtt", "status": "active"}
        write = Jsonb({"values": {**values, "secret_names": []}, "key": key, "fingerprint": key})
        return tenant.act("select write_integration('insert', %(write)s)", write=write)

    first, second = create("a"), create("b")

    assert "integration" in first
    assert (second["problem"]["code"], count(tenant, "integrations")) == ("PT409", 1)


def test_what_the_service_makes_is_not_held_to_the_bounds_but_counts(tenant: Tenant) -> None:
    tenant.set_quota("integrations", 1)
    tenant.integrate()
    tenant.integrate()

    with pytest.raises(psycopg.Error, match="integrations"):
        tenant.act(INSERTS["integrations"])


def test_members_read_what_their_organization_may_have_and_has(tenant: Tenant) -> None:
    tenant.set_quota("subscribers", 7)
    tenant.integrate(events=["*"])

    rows = tenant.act(
        "select jsonb_object_agg(bound, jsonb_build_array(used, most)) from read_quotas(%(organization)s)"
    )

    assert (rows["subscribers"], rows["integrations"]) == ([1, 7], [1, 1000])


def test_strangers_do_not(tenant: Tenant, stack: Stack) -> None:
    other = Tenant(stack, tenant.organization, stack.user("owner").id)

    with pytest.raises(psycopg.Error) as refused:
        other.act("select * from read_quotas(%(organization)s)")

    assert refused.value.sqlstate == "PT404"
