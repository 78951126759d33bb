-- Batches and events that go to more than one transaction should write down: a row is committed with them, and worked off in steps.

create table private.fan_outs (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  webhook_id uuid not null,
  first_id uuid not null,
  integration_id uuid,
  received_at timestamptz,
  id_end text,
  event_id uuid,
  created_at timestamptz not null default now(),
  due_at timestamptz not null default now(),
  tries integer not null default 0,
  error text,
  check (num_nonnulls(integration_id, received_at, id_end) = 3 or event_id is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table private.fan_outs is
  'A batch of messages, or an event, that is still to be queued for a webhook: written by ingest_messages in place of more than ten thousand deliveries, '
  'by queue_event in place of more than a hundred.';
comment on column private.fan_outs.first_id is 'No message of it has a lower id: what is ordered, and has a higher one, goes out after it.';
comment on column private.fan_outs.integration_id is 'The integration that the messages came from, or that the event is about.';
comment on column private.fan_outs.id_end is 'How the ids of all messages of the batch end.';
comment on column private.fan_outs.due_at is 'Later, after a step that failed; how often that was is in tries, and why in error.';
create index fan_outs_organization on private.fan_outs (organization_id, (event_id is null), due_at, id);
create index fan_outs_webhook on private.fan_outs (webhook_id, created_at);
create index fan_outs_order on private.fan_outs (webhook_id, first_id) where tries <= 5;
alter table private.fan_outs enable row level security;

revoke all on private.fan_outs from public, anon, authenticated, service_role;
