-- One call of each function that the API exposes, and what users write past them, by a small organization that has a row of
-- everything (estate.sql).
-- %(lease)s is the token of all of its leases, %(user)s its owner and %(guest)s that of another organization.

-- row: secret
insert into private.integration_secrets (integration_id, organization_id, sealed_kept)
values (%(source)s, %(organization)s, 'v1:k1:x')
on conflict (integration_id) do update set sealed_kept = excluded.sealed_kept
returning integration_id;

-- row: session
insert into integration_schedules (integration_id, organization_id, due_at, lease_token)
values (%(source)s, %(organization)s, now() + interval '1 minute', %(lease)s)
on conflict (integration_id, slot) do update set due_at = excluded.due_at, lease_token = excluded.lease_token
returning integration_id;

-- row: sync
insert into integration_jobs (organization_id, integration_id, kind, status, lease_token, due_at)
values (%(organization)s, %(source)s, 'sync', 'running', %(lease)s, now() + interval '1 minute')
returning id;

-- row: sending
insert into device_commands (organization_id, integration_id, device_id, name, status, lease_token, due_at)
values (%(organization)s, %(source)s, %(device)s, 'blink', 'sending', %(lease)s, now() + interval '1 minute')
returning id;

-- row: notifier
insert into device_integrations (organization_id, integration_type, name, settings)
values (%(organization)s, 'twilio', 'People',
  '{"events": ["alert.*"], "recipients": [{"name": "Ada", "to": "+491701234567"}]}')
returning id;

-- row: watched
insert into webhook_endpoints (organization_id, integration_id)
values (%(organization)s, %(notifier)s)
returning integration_id;

-- row: told
insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at, recipient,
  ordering_key)
values (%(organization)s, %(notifier)s, 'alert.raised', %(event)s, now(), 'Ada', private.key_person(%(notifier)s, 'Ada'))
returning id;

-- row: delivering
insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at, status,
  lease_token, due_at)
values (%(organization)s, %(webhook)s, 'device.event', %(message)s, now(), 'delivering', %(lease)s,
  now() + interval '1 minute')
returning id;

-- row: fan_out
insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, event_id)
values (%(organization)s, %(webhook)s, %(event)s, %(source)s, %(event)s)
returning id;

-- row: sighting
insert into private.job_sightings (job_id, remote_id)
values (%(sync)s, 'r0')
returning job_id;

-- row: hash
insert into private.device_token_hashes (token_id, token_hash)
values (%(token)s, encode(sha256(%(token)s::text::bytea), 'hex'))
returning token_id;

-- row: sends
insert into private.webhook_sends (integration_id, second, sent)
values (%(webhook)s, date_trunc('second', now()), 1)
returning integration_id;

-- row: turn
insert into private.delivery_turns (organization_id)
values (%(organization)s)
returning organization_id;

-- row: key
insert into private.idempotency_keys (user_id, organization_id, key, fingerprint)
values (%(user)s, %(organization)s, %(organization)s::text, 'x')
returning key;

-- row: device_key
insert into private.provisioning_secrets (provisioning_id, organization_id, sealed)
values (%(provisioning)s, %(organization)s, 'v1:k1:x')
returning provisioning_id;

-- row: host
insert into organizations (name) values ('Host')
returning id;

-- row: hosted
insert into organization_members (organization_id, user_id, role)
values (%(host)s, %(user)s, 'viewer'), (%(host)s, %(guest)s, 'owner')
returning user_id;

-- row: invited
insert into organization_invitations (organization_id, email, role, invited_by)
select %(host)s, email, 'viewer', %(guest)s from auth.users where id = %(user)s
returning id;

-- call: accept_invitation
select accept_invitation(%(invited)s);

-- call: acknowledge_alert
select acknowledge_alert(id) from alerts where integration_id = %(source)s and resolved_at is null limit 1;

-- call: begin_provisioning
select begin_provisioning(%(source)s, jsonb_build_object('id', issue_id(%(organization)s), 'device_id', null,
  'credentials', 'none', 'lease_seconds', 60, 'metadata', '{}'::jsonb,
  'request', '{"name": "x", "hardware_ids": ["new"], "tags": []}'::jsonb));

-- call: cancel_deliveries
select cancel_deliveries(%(webhook)s, '{}');

-- call: cancel_delivery
select cancel_delivery(%(webhook)s, %(pending)s);

-- call: cancel_job
select cancel_job(%(source)s, %(job)s);

-- call: cancel_rollout
select cancel_rollout(%(source)s, %(rollout)s, true);

-- call: claim_rollout
select claim_rollout(%(rollout)s);

-- call: codec_sources
select * from codec_sources(jsonb_build_array(jsonb_build_object('id', %(codec)s, 'organization_id', %(organization)s)));

-- call: confirm_exports
select confirm_exports(%(sync)s, %(lease)s,
  jsonb_build_array(jsonb_build_object('device_id', %(device)s, 'values', '{"name": "x"}'::jsonb)));

-- call: confirm_session
select confirm_session(%(source)s, %(lease)s, 5);

-- call: count_sealed
select * from count_sealed();

-- call: create_organization
select create_organization('Another');

-- call: delete_organization
select delete_organization(%(organization)s);

-- call: device_integrations
select i.id from device_messages m, device_integrations(m) i where m.id = %(message)s;

-- call: devices
select d.id from device_messages m, devices(m) d where m.id = %(message)s;

-- call: end_provisioning
select end_provisioning(%(sync)s, %(lease)s, %(provisioning)s, '{"id": "r9", "name": "x", "hardware_ids": [], "tags": []}');

-- call: erase_organizations
select erase_organizations();

-- call: explain_failure
select explain_failure(%(source)s, 'credentials_refused', 'No.');

-- call: explain_unopened
select explain_unopened(jsonb_build_array(jsonb_build_object('id', %(source)s, 'seal_count', 0, 'error', 'x')));

-- call: fail_rollout
select fail_rollout(%(rollout)s, 'x');

-- call: failed_messages
select * from failed_messages(%(source)s, '{}');

-- call: find_device_tokens
select * from find_device_tokens(
  jsonb_build_array(jsonb_build_object('integration_id', %(source)s, 'token_hash', repeat('0', 64))));

-- call: finish_commands
select finish_commands(jsonb_build_array(jsonb_build_object(
  'id', %(sending)s, 'lease_token', %(lease)s, 'outcome', 'sent', 'reference', 'r')));

-- call: finish_deliveries
select finish_deliveries(jsonb_build_array(jsonb_build_object('id', %(delivering)s, 'lease_token', %(lease)s,
  'outcome', 'dead', 'started_at', now(), 'milliseconds', 5, 'error', 'connect: x')));

-- call: finish_job
select finish_job(%(sync)s, %(lease)s, 'done', '{}');

-- call: finish_provisioning
select finish_provisioning(%(source)s, %(provisioning)s, null, 'x');

-- call: finish_session
select finish_session(%(source)s, %(lease)s, 'x');

-- call: ingest_batch
select ingest_batch(jsonb_build_object('integration_id', %(source)s, 'messages',
  '[{"event_id": "b1", "device": "canary-estate", "kind": "telemetry", "payload": {"n": 1}}]'::jsonb));

-- call: ingest_history
select ingest_history(%(source)s, '[{"event_id": "h1", "device": "canary-estate", "kind": "telemetry",
  "payload": {"n": 1}, "observed_at": "2026-01-01T00:00:00Z"}]');

-- call: ingest_messages
select ingest_messages(%(source)s, '[{"event_id": "m1", "device": "canary-estate", "kind": "telemetry",
  "payload": {"n": 1}}, {"event_id": "m2", "device": "new", "kind": "telemetry", "payload": {"n": 1}}]',
  %(lease)s, 60, '{"cursor": 1}');

-- call: ingest_retained
select ingest_retained(%(source)s, '[{"event_id": "t1", "device": "canary-estate", "kind": "telemetry",
  "topic": "t", "payload": {"n": 1}, "retained": true}]');

-- call: invite_member
select invite_member(%(organization)s, 'new@people.test', 'viewer');

-- call: issue_device_token
select issue_device_token(%(source)s, 'canary-estate', repeat('1', 64));

-- call: issue_id
select issue_id(%(organization)s);

-- call: judge_integrations
select judge_integrations(100, 0);

-- call: lease_commands
select lease_commands(20, 60);

-- call: lease_deliveries
select lease_deliveries(20, 60);

-- call: lease_jobs
select * from lease_jobs(20, 60);

-- call: lease_provisionings
select * from lease_provisionings(%(sync)s, %(lease)s, 20, 60);

-- call: lease_sessions
select * from lease_sessions(20, 60);

-- call: leave_organization
select leave_organization(%(host)s);

-- call: link_devices
select link_devices(%(sync)s, %(lease)s, jsonb_build_array(jsonb_build_object('device_id', %(device)s,
  'remote', '{"id": "r1", "name": "x", "hardware_ids": ["new"], "tags": []}'::jsonb)),
  '{"direction": "both", "conflicts": "manual", "update_existing": true, "online_minutes": 60}');

-- call: list_integrations
select list_integrations(50, %(organization)s);

-- call: list_integrations
select list_integrations(50);

-- call: list_invitations
select * from list_invitations();

-- call: list_unlinked
select list_unlinked(%(sync)s, %(lease)s, '00000000-0000-0000-0000-000000000000', 100, true);

-- call: list_unsighted
select list_unsighted(%(sync)s, %(lease)s, '00000000-0000-0000-0000-000000000000', 100);

-- call: mark_devices
select mark_devices(%(sync)s, %(lease)s, jsonb_build_array(jsonb_build_object('device_id', %(device)s, 'status', 'missing')));

-- call: park_session
select park_session(%(source)s, %(lease)s);

-- call: plan_provisionings
select plan_provisionings();

-- call: plan_rollouts
select plan_rollouts();

-- call: plan_syncs
select plan_syncs();

-- call: prune_audit_log
select prune_audit_log(100);

-- call: prune_conflicts
select prune_conflicts(100);

-- call: prune_deliveries
select prune_deliveries(p_limit => 100);

-- call: prune_events
select prune_events(100);

-- call: prune_firmware
select prune_firmware(p_limit => 100);

-- call: prune_history
select prune_history(p_limit => 100);

-- call: prune_idempotency_keys
select prune_idempotency_keys(100);

-- call: prune_invitations
select prune_invitations(100);

-- call: prune_issued_ids
select prune_issued_ids(100);

-- call: prune_jobs
select prune_jobs(100);

-- call: prune_messages
select prune_messages(p_limit => 100);

-- call: prune_rate_limits
select prune_rate_limits(100);

-- call: prune_refusals
select prune_refusals();

-- call: read_integration
select read_integration(%(webhook)s);

-- call: read_integration_keys
select read_integration_keys();

-- call: read_metrics
select read_metrics(%(source)s);

-- call: read_platform_metrics
select read_platform_metrics();

-- call: read_quotas
select * from read_quotas(%(organization)s);

-- call: read_scheduler
select read_scheduler();

-- call: read_stale_seals
select * from read_stale_seals('k', '00000000-0000-0000-0000-000000000000', 100);

-- call: receive_messages
select receive_messages(jsonb_build_array(jsonb_build_object('integration_id', %(source)s, 'requests', 1, 'bytes', 10,
  'messages', '[{"event_id": "p1", "device": "canary-estate", "kind": "telemetry", "payload": {"n": 1},
  "observed_at": "2026-01-01T00:00:00Z"}]'::jsonb)));

-- call: receiver_configs
select receiver_configs(array[%(source)s]::uuid[], array[%(source)s]::uuid[]);

-- call: record_activity
select record_activity(%(source)s, 'session', '[{"level": "error", "message": "x", "alert": "session.failing"}]');

-- call: record_firmware
select record_firmware(%(rollout)s, jsonb_build_array(jsonb_build_object('device', 'canary-estate', 'package', 'main',
  'ours', false, 'to_version', '1.0.0', 'from_version', '0.9.0', 'state', 'updated', 'event', 'e', 'at', now(), 'listed', true)));

-- call: record_heartbeat
select record_heartbeat('{"sessions": 0}', 0);

-- call: record_remote_write
select record_remote_write(%(source)s, 'state', 'update', '{}');

-- call: record_requests
select record_requests(jsonb_build_array(jsonb_build_object('delivery_id', %(delivery)s, 'started_at', now(),
  'is_delivered', true, 'method', 'POST', 'url', 'x', 'headers', '{}'::jsonb, 'body', 'x', 'body_bytes', 1)));

-- call: record_test
select record_test(%(source)s);

-- call: redecode_messages
select redecode_messages(%(sync)s, %(lease)s, jsonb_build_array(jsonb_build_object('id', id, 'received_at', received_at,
  'messages', '[{"event_id": "x", "device": "canary-estate", "kind": "event", "payload": {"n": 2}}]'::jsonb)))
  from device_messages where id = %(message)s;

-- call: renew_jobs
select renew_jobs(jsonb_build_array(jsonb_build_object('id', %(sync)s, 'lease_token', %(lease)s)), 60);

-- call: renew_session
select renew_session(%(source)s, %(lease)s, 60, true);

-- call: replace_seals
select replace_seals(jsonb_build_array(jsonb_build_object('id', %(source)s, 'seal_count', 0, 'sealed_kept', 'x')));

-- call: replay_deliveries
select replay_deliveries(%(webhook)s, '{}');

-- call: replay_delivery
select replay_delivery(%(webhook)s, %(delivery)s);

-- call: replay_messages
select replay_messages(%(source)s, jsonb_build_array(jsonb_build_object('id', id, 'received_at', received_at,
  'messages', '[{"event_id": "canary-estate2", "device": "canary-estate", "kind": "event", "payload": {"n": 2}}]'::jsonb)))
  from device_messages where id = %(failure)s;

-- call: require_role
select require_role(%(organization)s, 'admin');

-- call: resolve_conflict
select resolve_conflict(%(source)s, %(conflict)s, 'local');

-- call: revoke_device_token
select revoke_device_token(%(source)s, %(token)s);

-- call: rotate_device_token
select rotate_device_token(%(source)s, %(token)s, repeat('2', 64), 60);

-- call: rotate_keys
select rotate_keys(90);

-- call: run_rollout
select run_rollout(%(rollout)s, 'r', now());

-- call: save_job
select save_job(%(sync)s, %(lease)s, '{}', '{}', 60);

-- call: sealed_config
select * from sealed_config(%(source)s);

-- call: send_command
select send_command(jsonb_build_object('device_id', %(device)s, 'name', 'blink', 'payload', '{}'::jsonb));

-- call: settle_rollout
select settle_rollout(%(rollout)s, null, false, true, now() - interval '1 hour');

-- call: spread_deliveries
select spread_deliveries();

-- call: start_rollout
select start_rollout(%(source)s, '{"name": "x", "target": {"tag_id": "x"}, "artifacts": [], "time_limit_seconds": 60,
  "replace": true}');

-- call: stored_messages
select * from stored_messages(%(source)s, jsonb_build_object('from', now() - interval '1 day', 'to', now() + interval '1 day'));

-- call: sum_metrics
select sum_metrics(100);

-- call: sync_devices
select sync_devices(%(sync)s, %(lease)s,
  '[{"id": "canary-estate", "name": "x", "hardware_ids": ["canary-estate"], "tags": []},
    {"id": "r2", "name": "y", "hardware_ids": ["new"], "tags": []}]',
  '{"direction": "both", "conflicts": "manual", "update_existing": true, "create_missing": true, "room": 10, "online_minutes": 60}');

-- call: take_callback
select take_callback(%(notifier)s, jsonb_build_object(
  'reports', jsonb_build_array(jsonb_build_object('delivery_id', %(told)s, 'reference', 'r', 'report', 'delivered')),
  'opt_outs', jsonb_build_array(jsonb_build_object('address_hash', repeat('1', 64), 'is_out', true)),
  'acknowledgements', '[{"recipient": "Ada", "code": "ABCDE"}]'::jsonb));

-- call: take_tokens
select take_tokens('write', p_integration_id => %(source)s);

-- call: write_codec
select write_codec('update', jsonb_build_object('id', %(codec)s, 'values', '{"source": "@"}'::jsonb));

-- call: write_integration
select write_integration('update', jsonb_build_object('id', %(webhook)s, 'values', '{"status": "inactive"}'::jsonb));

-- call: write_integration
select write_integration('delete', jsonb_build_object('id', %(webhook)s));

-- write: device
insert into devices (organization_id, integration_id, external_id, name, metadata)
values (%(organization)s, %(source)s, 'written', 'x', '{"hardware_ids": ["written"]}');

-- write: renamed
update devices set name = 'x', metadata = metadata || '{"tags": ["x"]}' where id = %(device)s;

-- write: deleted
delete from devices where id = %(device)s;

-- write: command
insert into device_commands (device_id, name) values (%(device)s, 'blink');

-- write: backfill
insert into integration_jobs (organization_id, integration_id, kind) values (%(organization)s, %(webhook)s, 'backfill');

-- write: integration
insert into device_integrations (organization_id, integration_type, name, settings)
values (%(organization)s, 'webhook', 'Written', '{"events": ["*"]}');

-- write: changed
update device_integrations set settings = settings || '{"note": "x"}', name = 'x' where id = %(source)s;

-- write: gone
delete from device_integrations where id = %(source)s;

-- write: organization
update organizations set name = 'x' where id = %(organization)s;

-- write: role
update organization_members set role = 'viewer' where organization_id = %(organization)s and role = 'member';

-- write: member
delete from organization_members where organization_id = %(organization)s and role = 'member';

-- write: invitation
delete from organization_invitations where id = %(invitation)s;

