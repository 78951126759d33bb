"""The queue of commands: fair over integrations, so that a broker that never answers holds up no other."""

from __future__ import annotations

from collections import Counter

from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service

SEND = """
insert into device_commands (organization_id, device_id, integration_id, name, expires_at)
select d.organization_id, d.id, d.integration_id, 'reboot', now() + make_interval(secs => %s)
  from devices d cross join generate_series(1, %s) where d.integration_id = %s
"""


def send(service: Service, count: int, expires_seconds: float = 3600) -> str:
    """A new integration whose one device is told so many things."""
    integration_id = service.make_integration()
    service.run(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%s, %s, 'a', 'a') returning id",
        service.organization_id,
        integration_id,
    )
    service.connection.execute(SEND, (expires_seconds, count, integration_id))
    return integration_id


def lease(service: Service, limit: int = 64) -> list[Row]:
    leased: Row = service.one("select lease_commands(%s, 60)", limit)
    return list(leased["commands"])


def finish(service: Service, commands: list[Row]) -> None:
    results = [
        {"id": row["id"], "lease_token": row["lease_token"], "outcome": "sent", "reference": "topic"}
        for row in commands
    ]
    service.one("select finish_commands(%s)", Jsonb(results))


def test_no_more_than_sixteen_commands_of_one_integration_are_under_way(service: Service) -> None:
    send(service, 40)

    first, second = lease(service), lease(service)
    finish(service, first[:1])
    third = lease(service)

    assert (len(first), len(second), len(third)) == (16, 0, 1)


def test_a_flood_to_one_integration_leaves_room_for_the_others(service: Service) -> None:
    flooded = send(service, 50)
    others = [send(service, 1) for _ in range(3)]

    leased = Counter(row["integration_id"] for row in lease(service, 4))

    assert leased == dict.fromkeys([flooded, *others], 1)


def test_commands_of_one_integration_go_out_in_the_order_they_were_due(service: Service) -> None:
    send(service, 20)
    service.connection.execute(
        "update device_commands set due_at = now() - n * interval '1 s'"
        " from (select id, row_number() over (order by id) as n from device_commands) o where o.id = device_commands.id"
    )
    wanted = [str(row["id"]) for row in service.run("select id from device_commands order by due_at")]

    leased = lease(service)
    finish(service, leased)

    assert [{row["id"] for row in leased}, {row["id"] for row in lease(service)}] == [
        set(wanted[:16]),
        set(wanted[16:]),
    ]


def test_commands_expire_however_many_are_under_way(service: Service) -> None:
    integration_id = send(service, 18)
    lease(service)
    service.connection.execute(
        "update device_commands set created_at = created_at - interval '1 h', expires_at = now() - interval '1 s'"
        " where integration_id = %s",
        (integration_id,),
    )

    assert lease(service) == []
    statuses = service.run("select status, count(*) from device_commands group by 1 order by 1")
    assert [tuple(row.values()) for row in statuses] == [("expired", 2), ("sending", 16)]
