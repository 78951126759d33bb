-- What tests/database/estate.sql lacks: rows of what belongs to no one organization or is written by functions only; and what
-- goes on after an upgrade, a message that is known with its delivery, and a command.

-- row: counts
select ingest_messages(%(mqtt)s, '[{"event_id": "known", "device": "pump-1", "kind": "telemetry", "payload": {"n": 1}}]');

-- row: reboot
insert into device_commands (device_id, name)
select id, 'reboot' from devices where integration_id = %(mqtt)s
returning id;

-- row: sighting
insert into private.job_sightings (job_id, remote_id)
values (%(job)s, 'remote-1')
returning job_id;

-- row: fan_out
insert into private.fan_outs (organization_id, integration_id, received_at, id_end, webhooks)
values (%(organization)s, %(source)s, now(), '8000000000000000', array[%(webhook)s::uuid])
returning id;

-- row: turn
insert into private.delivery_turns (organization_id)
values (%(organization)s)
on conflict (organization_id) do update set served_at = now()
returning organization_id;

-- row: sends
insert into private.webhook_sends (integration_id, second, sent)
values (%(webhook)s, date_trunc('second', now()), 1)
returning integration_id;

-- row: key
insert into private.vault_keys (key_id, added_at, promoted_at, is_made)
values ('upgrades', now(), now(), false)
returning key_id;

-- row: ended
insert into private.ended_organizations (organization_id)
values (gen_random_uuid())
returning organization_id;

-- row: device_key
insert into private.provisioning_secrets (provisioning_id, organization_id, sealed)
values (%(provisioning)s, %(organization)s, %(sealed_key)s)
returning provisioning_id;
