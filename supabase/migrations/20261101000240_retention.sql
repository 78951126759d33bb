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

create table private.prune_marks (
  what text primary key references private.retention (what) on update cascade on delete cascade,
  clear_at timestamptz not null default now(),
  swept_to timestamptz not null default '-infinity',
  swept_at timestamptz not null default '-infinity'
);
comment on table private.prune_marks is 'How far maintenance has come with what is kept, so that nobody has to look through it for that.';
comment on column private.prune_marks.clear_at is 'When it last was through: nothing was left that is past its retention. To ten minutes.';
comment on column private.prune_marks.swept_to is 'Of deliveries: nothing that was made before this, and can be forgotten, is left, but for what ended since swept_at.';
comment on column private.prune_marks.swept_at is 'When the sweep began, which is begun anew each day.';
alter table private.prune_marks enable row level security;
insert into private.prune_marks (what) select r.what from private.retention r;

create function private.note_pruned(p_what text, p_is_through boolean) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  if not p_is_through then
    return;
  end if;
  insert into private.prune_marks (what) values (p_what) on conflict do nothing;
  -- Whoever does the same just now, or changes the retention, is not waited for.
  update private.prune_marks set clear_at = now()
   where what = any (array(
     select m.what from private.prune_marks m
      where m.what = p_what and m.clear_at < now() - interval '10 minutes' for update skip locked));
end
$$;
comment on function private.note_pruned is 'Says that maintenance is through with it, where it is.';

create function private.list_behind(p_days double precision) returns text[]
language sql stable set search_path = ''
as $$
  select array_agg(m.what order by m.what) from private.prune_marks m where m.clear_at < now() - p_days * interval '1 day'
$$;
comment on function private.list_behind is 'What maintenance has not been through with for so many days; null for nothing.';

revoke all on private.retention, private.prune_marks from public, anon, authenticated, service_role;
revoke execute on function private.note_pruned, private.list_behind, private.kept_from from public, anon, authenticated, service_role;
