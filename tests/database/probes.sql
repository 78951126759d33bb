-- What somebody with PostgREST at hand tries with an id that is not theirs: %(id)s.
-- %(own)s, %(mine)s and %(mine_device)s are the caller's own organization, an integration and a device of it.

-- of: accept_invitation
select accept_invitation(%(id)s);

-- of: create_organization
select name from create_organization('Mine');

-- of: delete_organization
select delete_organization(%(id)s);

-- of: begin_provisioning
select begin_provisioning(%(id)s, jsonb_build_object('id', issue_id(%(own)s), 'device_id', null,
  'credentials', 'none', 'lease_seconds', 60, 'metadata', '{}'::jsonb, 'request', '{"name": "x",
  "hardware_ids": ["canary-estate"], "tags": []}'::jsonb));

-- of: begin_provisioning
select begin_provisioning(%(mine)s, jsonb_build_object('id', %(id)s::uuid, 'device_id', null, 'credentials',
  'none', 'lease_seconds', 60, 'metadata', '{}'::jsonb, 'request', '{"name": "x", "hardware_ids":
  ["canary-estate"], "tags": []}'::jsonb));

-- of: begin_provisioning
select begin_provisioning(%(mine)s, jsonb_build_object('id', issue_id(%(own)s), 'device_id', %(id)s::uuid,
  'credentials', 'none', 'lease_seconds', 60, 'metadata', '{}'::jsonb, 'request', '{"name": "x",
  "hardware_ids": ["canary-estate"], "tags": []}'::jsonb));

-- of: cancel_deliveries
select cancel_deliveries(%(id)s, '{}');

-- of: cancel_delivery
select cancel_delivery(%(id)s, %(id)s);

-- of: cancel_delivery
select cancel_delivery(%(mine)s, %(id)s);

-- of: cancel_job
select cancel_job(%(id)s, %(id)s);

-- of: cancel_job
select cancel_job(%(mine)s, %(id)s);

-- of: cancel_rollout
select cancel_rollout(%(id)s, %(id)s, true);

-- of: cancel_rollout
select cancel_rollout(%(mine)s, %(id)s, true);

-- of: failed_messages
select failed_messages(%(id)s, '{}');

-- of: finish_provisioning
select finish_provisioning(%(id)s, %(id)s, null, 'x');

-- of: finish_provisioning
select finish_provisioning(%(mine)s, %(id)s, null, 'x');

-- of: invite_member
select invite_member(%(id)s, 'canary@people.test', 'viewer');

-- of: issue_id
select issue_id(%(id)s);

-- of: leave_organization
select leave_organization(%(id)s);

-- of: list_invitations
select * from list_invitations();

-- of: list_integrations
select list_integrations(50, %(id)s);

-- of: list_integrations
select list_integrations(50, %(own)s, null, null, now() - interval '1 day', %(id)s);

-- of: read_quotas
select * from read_quotas(%(id)s);

-- of: record_remote_write
select record_remote_write(%(id)s, 'state', 'update', '{}');

-- of: record_test
select record_test(%(id)s);

-- of: replay_deliveries
select replay_deliveries(%(id)s, '{}');

-- of: replay_delivery
select replay_delivery(%(id)s, %(id)s);

-- of: replay_delivery
select replay_delivery(%(mine)s, %(id)s);

-- of: replay_messages
select replay_messages(%(id)s, '[]');

-- of: replay_messages
select replay_messages(%(mine)s, jsonb_build_array(jsonb_build_object('id', %(id)s::uuid, 'received_at',
  now(), 'messages', '[{"event_id": "x"}]'::jsonb)));

-- of: require_role
select require_role(%(id)s, 'viewer');

-- of: resolve_conflict
select resolve_conflict(%(id)s, %(id)s, 'local');

-- of: resolve_conflict
select resolve_conflict(%(mine)s, %(id)s, 'local');

-- of: sealed_config
select * from sealed_config(%(id)s);

-- of: send_command
select send_command(jsonb_build_object('device_id', %(id)s::uuid, 'name', 'unlock', 'payload', '{}'::jsonb));

-- of: start_rollout
select start_rollout(%(id)s, jsonb_build_object('name', 'x', 'target', '{"tag_id": "x"}'::jsonb, 'artifacts',
  '[]'::jsonb, 'time_limit_seconds', 60));

-- of: acknowledge_alert
select acknowledge_alert(('x' || left(replace(%(id)s::text, '-', ''), 15))::bit(60)::bigint);

-- of: read_integration
select read_integration(%(id)s);

-- of: read_metrics
select read_metrics(%(id)s);

-- of: read_scheduler
select read_scheduler() is not null, %(id)s;

-- of: take_tokens
select take_tokens('write', p_organization_id => %(id)s);

-- of: take_tokens
select take_tokens('write', p_integration_id => %(id)s);

-- of: write_integration
select write_integration('insert', jsonb_build_object('values', jsonb_build_object('id', %(id)s::uuid,
  'organization_id', %(own)s::uuid, 'integration_type', 'mqtt', 'name', 'x', 'status', 'active', 'settings',
  '{}'::jsonb, 'secret_names', '[]'::jsonb)));

-- of: write_integration
select write_integration('insert', jsonb_build_object('values', jsonb_build_object('id', issue_id(%(own)s),
  'organization_id', %(id)s::uuid, 'integration_type', 'mqtt', 'name', 'x', 'status', 'active', 'settings',
  '{}'::jsonb, 'secret_names', '[]'::jsonb)));

-- of: write_integration
select write_integration('update', jsonb_build_object('id', %(id)s::uuid, 'values', '{"name": "x"}'::jsonb));

-- of: write_integration
select write_integration('delete', jsonb_build_object('id', %(id)s::uuid));

-- of: write_codec
select write_codec('insert', jsonb_build_object('values', jsonb_build_object('organization_id', %(id)s::uuid,
  'name', 'x', 'kind', 'jmespath', 'source', '@')));

-- of: write_codec
select write_codec('update', jsonb_build_object('id', %(id)s::uuid, 'values', '{"name": "x"}'::jsonb));

-- of: write_codec
select write_codec('delete', jsonb_build_object('id', %(id)s::uuid));

-- of: issue_device_token
select issue_device_token(%(id)s, 'canary-estate', repeat('0', 64));

-- of: rotate_device_token
select rotate_device_token(%(id)s, %(id)s, repeat('0', 64), 60);

-- of: rotate_device_token
select rotate_device_token(%(mine)s, %(id)s, repeat('0', 64), 60);

-- of: revoke_device_token
select revoke_device_token(%(id)s, %(id)s);

-- of: revoke_device_token
select revoke_device_token(%(mine)s, %(id)s);

-- of: device_integrations
insert into device_integrations (id, organization_id, integration_type, name) values (%(id)s, %(own)s, 'mqtt',
  'x');

-- of: device_integrations
insert into device_integrations (organization_id, integration_type, name) values (%(id)s, 'mqtt', 'x');

-- of: devices
insert into devices (organization_id, integration_id, external_id, name) values (%(own)s, %(id)s,
  'canary-estate', 'x');

-- of: devices
insert into devices (organization_id, external_id, name) values (%(id)s, 'canary-estate', 'x');

-- of: device_commands
insert into device_commands (device_id, name) values (%(id)s, 'x');

-- of: integration_jobs
insert into integration_jobs (organization_id, integration_id, kind) values (%(own)s, %(id)s, 'backfill');

-- of: integration_jobs
insert into integration_jobs (organization_id, integration_id, kind) values (%(id)s, %(id)s, 'backfill');

-- of: organization_members
insert into organization_members (organization_id, user_id, role) values (%(id)s, auth.uid(), 'viewer');

-- of: devices
update devices set integration_id = %(id)s;

-- of: devices
update devices set organization_id = %(id)s;

-- of: device_integrations
update device_integrations set organization_id = %(id)s;

-- of: organization_members
update organization_members set organization_id = %(id)s;

-- of: organization_invitations
insert into organization_invitations (organization_id, email, role, invited_by) values (%(id)s,
  'canary@people.test', 'owner', auth.uid());
