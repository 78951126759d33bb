-- What goes on after an upgrade: a message that is known with its delivery, a command, a device's sealed key. For what else
-- tests/database/estate.sql lacks, a row is invented (invented.py).

-- row: counts
select ingest_messages(%(mqtt)s, '[{"event_id": "known", "device": "pump-1", "kind": "telemetry", "payload": {"n": 1}}]');

-- row: reboot
insert into device_commands (device_id, name)
select id, 'reboot' from devices where integration_id = %(mqtt)s
returning id;

-- row: device_key
insert into private.provisioning_secrets (provisioning_id, organization_id, sealed)
values (%(provisioning)s, %(organization)s, %(sealed_key)s)
returning provisioning_id;

-- row: ended
insert into private.ended_organizations (organization_id)
values (gen_random_uuid());

-- row: fan_out
insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, event_id)
values (%(organization)s, gen_random_uuid(), gen_random_uuid(), %(mqtt)s, gen_random_uuid())
returning id;
