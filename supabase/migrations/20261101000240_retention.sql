-- How long everything is kept. This table is the only place that says so: `update private.retention set kept = …`.

create table private.retention (
  what text primary key,
  kept interval not null check (kept > interval '0'),
  says text not null
);
comment on table private.retention is 'How long what is kept. The operator changes kept; the prune functions follow it.';
comment on column private.retention.kept is 'From the moment that says names on. Whole days for messages, which go a day at a time.';
comment on column private.retention.says is 'What it is, and from when on it is counted.';
alter table private.retention enable row level security;

insert into private.retention (what, kept, says) values
  ('messages', '90 days', 'Messages of devices, from their arrival; dropped a day at a time.'),
  ('event_ids', '7 days', 'Ids by which a message that comes again is known, from its arrival.'),
  ('deliveries', '30 days', 'Deliveries that were delivered or cancelled, and their attempts, from their making.'),
  ('dead_deliveries', '90 days', 'Deliveries that are dead, from their making; what is still pending then is cancelled. No longer than messages, which a replay needs.'),
  ('activity', '90 days', 'The activity log.'),
  ('metrics', '14 days', 'Metrics by the minute; then they are summed up by the hour.'),
  ('metric_hours', '180 days', 'Metrics by the hour; then they are summed up by the day.'),
  ('metric_days', '5 years', 'Metrics by the day.'),
  ('alerts', '90 days', 'Alerts, from when they were resolved.'),
  ('commands', '90 days', 'Commands that have ended, from their end.'),
  ('jobs', '30 days', 'Jobs that people began, and those that failed, from their end.'),
  ('planned_jobs', '1 day', 'Jobs that a plan began and that went well, from their end.'),
  ('conflicts', '90 days', 'Conflicts of a device sync, from when both sides were in step again.'),
  ('provisionings', '90 days', 'Devices that could not be created at a provider, from when that was clear. A device''s own credentials stay with it.'),
  ('firmware', '365 days', 'Updates of firmware, from when something was last heard of them; rollouts, from their end.'),
  ('audit_log', '1 year', 'The audit log, which nobody can take a row from before.'),
  ('idempotency_keys', '24 hours', 'Replies by idempotency key.'),
  ('issued_ids', '1 hour', 'Ids that were given out and never used. Used ones are kept for ever.'),
  ('invitations', '7 days', 'Invitations that nobody has accepted, from their end.'),
  ('rate_limits', '1 hour', 'Buckets of rate limits that have been full for so long; an absent bucket is a full one.');

create function private.kept_from(p_what text, p_days integer default null) returns timestamptz
language sql stable security definer set search_path = ''
as $$ select now() - coalesce(make_interval(days => p_days), r.kept) from private.retention r where r.what = p_what $$;
comment on function private.kept_from is 'What is older than this is past its retention; p_days instead of what the table says.';

revoke all on private.retention from public, anon, authenticated, service_role;
revoke execute on function private.kept_from from public, anon, authenticated, service_role;
