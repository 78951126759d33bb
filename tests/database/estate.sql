-- One row of everything an organization can have, in an order in which each finds those it names.

-- row: invitation
insert into organization_invitations (organization_id, email, role, invited_by)
values (%(organization)s, 'x@' || %(canary)s, 'admin', gen_random_uuid())
returning id;

-- row: source
insert into device_integrations (organization_id, integration_type, name, settings)
values (%(organization)s, 'golioth', %(canary)s, jsonb_build_object('note', %(canary)s))
returning id;

-- row: webhook
insert into device_integrations (organization_id, integration_type, name, settings)
values (%(organization)s, 'webhook', %(canary)s || 2, '{"events": ["*"]}')
returning id;

-- row: device
insert into devices (organization_id, integration_id, external_id, name, metadata)
values (%(organization)s, %(source)s, %(canary)s, %(canary)s, '{"hardware_ids": ["canary-estate"]}')
returning id;

-- row: orphan
insert into devices (organization_id, external_id, name)
values (%(organization)s, %(canary)s || 2, %(canary)s)
returning id;

-- row: message
insert into device_messages (organization_id, integration_id, device_id, event_id, kind, payload, observed_at,
  received_at)
values (%(organization)s, %(source)s, %(device)s, %(canary)s, 'event', to_jsonb(%(canary)s::text), now(),
  now())
returning id;

-- row: failure
insert into device_messages (organization_id, integration_id, event_id, kind, raw, error, observed_at,
  received_at)
values (%(organization)s, %(source)s, %(canary)s || 2, 'event', %(canary)s, %(canary)s, now(), now())
returning id;

-- row: ledger
insert into private.message_ledger (integration_id, organization_id, event_id)
values (%(source)s, %(organization)s, %(canary)s)
returning integration_id;

-- row: metrics
insert into integration_metrics (organization_id, integration_id, minute)
values (%(organization)s, %(source)s, date_trunc('minute', now()))
returning integration_id;

-- row: rollup
insert into integration_metric_rollups (organization_id, integration_id, step, at)
values (%(organization)s, %(source)s, 'hour', date_trunc('hour', now()))
returning integration_id;

-- row: totals
insert into integration_totals (organization_id, integration_id, sessions)
values (%(organization)s, %(source)s, 1)
returning integration_id;

-- row: tally
insert into private.metric_tallies (organization_id, integration_id, minute)
values (%(organization)s, %(source)s, date_trunc('minute', now()))
returning integration_id;

-- row: endpoint
insert into webhook_endpoints (organization_id, integration_id)
values (%(organization)s, %(webhook)s)
returning integration_id;

-- row: delivery
insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at,
  status)
values (%(organization)s, %(webhook)s, %(canary)s, %(message)s, now(), 'dead')
returning id;

-- row: pending
insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at)
values (%(organization)s, %(webhook)s, %(canary)s, %(message)s, now())
returning id;

-- row: attempt
insert into webhook_attempts (organization_id, delivery_id, attempt, started_at, milliseconds, reply)
values (%(organization)s, %(delivery)s, 1, now(), 1, %(canary)s)
returning delivery_id;

-- row: opt_out
insert into private.opt_outs (organization_id, integration_id, address_hash)
values (%(organization)s, %(webhook)s, repeat('0', 64))
returning integration_id;

-- row: command
insert into device_commands (device_id, name, payload)
values (%(device)s, %(canary)s, to_jsonb(%(canary)s::text))
returning id;

-- row: activity
insert into integration_activity (organization_id, integration_id, kind, message)
values (%(organization)s, %(source)s, 'session', %(canary)s)
returning integration_id;

-- row: alert
insert into alerts (organization_id, integration_id, kind, message)
values (%(organization)s, %(source)s, 'canary', %(canary)s)
returning integration_id;

-- row: job
insert into integration_jobs (organization_id, integration_id, kind, request)
values (%(organization)s, %(source)s, 'backfill', jsonb_build_object('note', %(canary)s))
returning id;

-- row: link
insert into device_links (device_id, organization_id, integration_id, remote_id, status)
values (%(device)s, %(organization)s, %(source)s, %(canary)s, 'linked')
returning device_id;

-- row: conflict
insert into device_conflicts (device_id, organization_id, integration_id, fields, local, remote)
values (%(device)s, %(organization)s, %(source)s, '{name}', '{}', '{}')
returning id;

-- row: provisioning
insert into device_provisionings (device_id, organization_id, integration_id, request, credentials,
  makes_device, due_at)
values (%(device)s, %(organization)s, %(source)s, jsonb_build_object('name', %(canary)s), 'none', false,
  now())
returning id;

-- row: rollout
insert into firmware_rollouts (organization_id, integration_id, name, target, artifacts)
values (%(organization)s, %(source)s, %(canary)s, '{}', '[]')
returning id;

-- row: update
insert into firmware_updates (organization_id, integration_id, external_id, device_id, rollout_id, package,
  to_version, at)
values (%(organization)s, %(source)s, %(canary)s, %(device)s, %(rollout)s, 'main', '1.0.0', now())
returning rollout_id;

-- row: fact
insert into integration_facts (integration_id, organization_id, direction, last_error)
values (%(source)s, %(organization)s, 'in', %(canary)s)
returning integration_id;

-- row: event
insert into integration_events (organization_id, integration_id, event_type, payload)
values (%(organization)s, %(source)s, 'alert.raised', to_jsonb(%(canary)s::text))
returning id;

-- row: request
insert into webhook_requests (organization_id, integration_id, delivery_id, started_at, is_delivered, method, url,
  headers, body, body_bytes)
values (%(organization)s, %(webhook)s, %(delivery)s, now(), true, 'POST', %(canary)s, '{}', %(canary)s, 1)
returning delivery_id;

-- row: codec
insert into codecs (organization_id, name, kind, source)
values (%(organization)s, %(canary)s, 'jmespath', '"' || %(canary)s || '"')
returning id;

-- row: token
insert into device_tokens (organization_id, integration_id, external_id)
values (%(organization)s, %(source)s, %(canary)s)
returning id;
