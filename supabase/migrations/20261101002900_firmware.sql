-- Firmware: rollouts of it to devices, and what each device has made of each update.

create table public.firmware_rollouts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  name text not null check (length(btrim(name)) between 1 and 200),
  target jsonb not null check (jsonb_typeof(target) = 'object' and octet_length(target::text) <= 1000),
  artifacts jsonb not null check (jsonb_typeof(artifacts) = 'array' and octet_length(artifacts::text) <= 65536),
  status text not null default 'starting' check (status in ('starting', 'running', 'done', 'failed', 'cancelled')),
  counts jsonb not null default '{}',
  error text check (length(error) <= 2000),
  reference text,
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  begun_at timestamptz,
  started_at timestamptz,
  swept_at timestamptz,
  ends_at timestamptz not null default now() + interval '7 days',
  finished_at timestamptz,
  state jsonb not null default '{}',
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.firmware_rollouts is
  'Firmware on its way to a group of devices. done: followed to its end, counts say how it went; failed: it could not be started or followed.';
comment on column public.firmware_rollouts.target is '{"cohort_id"} or {"tag_id"}, ids of the platform.';
comment on column public.firmware_rollouts.artifacts is '[{"id", "package", "version"}], one of a package.';
comment on column public.firmware_rollouts.counts is 'Devices, and how many of them are pending, downloading, downloaded, updated, failed.';
comment on column public.firmware_rollouts.error is 'Why it failed; while it is open, why nothing is heard just now.';
comment on column public.firmware_rollouts.reference is 'The platform''s own id of it.';
comment on column public.firmware_rollouts.begun_at is 'From then on the platform may have been told: it can''t just be cancelled here.';
comment on column public.firmware_rollouts.started_at is 'When it began by the platform''s clock.';
comment on column public.firmware_rollouts.swept_at is 'When all devices of the target were last looked through.';
comment on column public.firmware_rollouts.ends_at is 'What is not updated by then has failed.';
comment on column public.firmware_rollouts.state is 'Service only: from where to read on.';
create unique index firmware_rollouts_open on public.firmware_rollouts (integration_id, target)
  where status in ('starting', 'running');
create index firmware_rollouts_integration on public.firmware_rollouts (integration_id, created_at desc, id desc);
create index firmware_rollouts_organization on public.firmware_rollouts (organization_id, created_at desc, id desc);

alter table public.firmware_rollouts enable row level security;
revoke all on public.firmware_rollouts from anon, authenticated;
grant select (
  id, organization_id, integration_id, name, target, artifacts, status, counts, error, reference, created_by, created_at,
  begun_at, started_at, swept_at, ends_at, finished_at
) on public.firmware_rollouts to authenticated;
grant select, insert, update, delete on public.firmware_rollouts to service_role;
create policy "Members see the rollouts" on public.firmware_rollouts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table public.firmware_updates (
  id bigint generated always as identity primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid not null,
  external_id text not null check (length(external_id) between 1 and 512),
  device_id uuid,
  rollout_id uuid,
  package text not null check (length(package) between 1 and 200),
  from_version text check (length(from_version) <= 200),
  to_version text not null check (length(to_version) between 1 and 200),
  state text not null default 'pending' check (state in ('pending', 'downloading', 'downloaded', 'updated', 'failed')),
  message text,
  at timestamptz not null,
  steps jsonb not null default '[]',
  listed_at timestamptz,
  created_at timestamptz not null default now(),
  unique nulls not distinct (integration_id, external_id, package, to_version, rollout_id),
  foreign key (organization_id, device_id)
    references public.devices (organization_id, id) on delete set null (device_id)
) with (fillfactor = 70);
comment on table public.firmware_updates is
  'The history on the device: one update of one package, where it stands and the steps it took. Outlives its rollout and its integration.';
comment on column public.firmware_updates.external_id is 'The device as the platform names it; device_id where it is known here.';
comment on column public.firmware_updates.rollout_id is 'Null where the update was started elsewhere.';
comment on column public.firmware_updates.message is 'What the device or the platform said with the last step, such as why it failed.';
comment on column public.firmware_updates.at is 'When it came to be in this state, by the platform''s clock.';
comment on column public.firmware_updates.steps is '[{"at", "state", "event", "message"}] in their order, the last 50; each is there once however often it is heard.';
comment on column public.firmware_updates.listed_at is 'Service only: when the device was last seen among those of the target.';
create index firmware_updates_rollout on public.firmware_updates (rollout_id, created_at desc, id desc);
create index firmware_updates_device on public.firmware_updates (device_id, created_at desc, id desc);
create index firmware_updates_organization on public.firmware_updates (organization_id, created_at desc, id desc);

alter table public.firmware_updates enable row level security;
revoke all on public.firmware_updates from anon, authenticated;
grant select (
  id, organization_id, integration_id, external_id, device_id, rollout_id, package, from_version, to_version, state,
  message, at, steps, created_at
) on public.firmware_updates to authenticated;
grant select, insert, update, delete on public.firmware_updates to service_role;
create policy "Members see the updates" on public.firmware_updates
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    alter publication supabase_realtime add table public.firmware_rollouts;
  end if;
end
$$;

create function private.make_step(p_at timestamptz, p_state text, p_event text, p_message text) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'at', to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'state', p_state, 'event', p_event,
    'message', p_message))
$$;
comment on function private.make_step is 'The same however the session writes its times, so that what is heard twice is equal.';

create function private.end_updates(p_rollout_id uuid, p_message text, p_listed_before timestamptz default 'infinity') returns void
language sql volatile set search_path = ''
as $$
  update public.firmware_updates
     set state = 'failed', message = p_message, at = now(),
         steps = steps || private.make_step(now(), 'failed', null, p_message)
   where rollout_id = p_rollout_id and state in ('pending', 'downloading', 'downloaded')
     and coalesce(listed_at, created_at) < p_listed_before
$$;
comment on function private.end_updates is 'What is still on its way in a rollout has failed, and why; only devices not listed since p_listed_before where given.';

create function private.abandon_updates() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.end_updates(old.id, 'The integration was deleted, so nobody follows this update any more.');
  return null;
end
$$;
comment on function private.abandon_updates is 'The history outlives a rollout, but does not say that it still runs.';
create trigger abandon_updates after delete on public.firmware_rollouts
  for each row when (old.status in ('starting', 'running')) execute function private.abandon_updates();

create function private.log_rollout(p_rollout public.firmware_rollouts, p_kind text, p_level text, p_message text) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  values (
    p_rollout.organization_id, p_rollout.integration_id, p_kind, p_level,
    left(format('Rollout %s: %s', p_rollout.name, p_message), 2000),
    jsonb_strip_nulls(jsonb_build_object('rollout_id', p_rollout.id, 'user_id', (select auth.uid()))))
$$;
comment on function private.log_rollout is 'An entry of the activity about a rollout.';

create function private.end_rollout(p_rollout public.firmware_rollouts, p_status text, p_message text) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.firmware_rollouts
     set status = p_status, finished_at = now(), error = left(p_message, 2000)
   where id = p_rollout.id;
  perform private.end_updates(p_rollout.id, format('The rollout %s before this device was updated.',
                                                   case p_status when 'cancelled' then 'was cancelled' else 'failed' end));
  update public.firmware_rollouts set counts = private.count_rollout(id) where id = p_rollout.id;
  perform private.log_rollout(
    p_rollout, 'rollout.' || p_status, case p_status when 'failed' then 'error' else 'info' end, p_message);
end
$$;
comment on function private.end_rollout is 'Ends a rollout before its time: failed or cancelled.';

create function private.count_rollout(p_rollout_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'devices', count(*),
    'failed', count(*) filter (where d.rank = 1),
    'pending', count(*) filter (where d.rank = 2),
    'downloading', count(*) filter (where d.rank = 3),
    'downloaded', count(*) filter (where d.rank = 4),
    'updated', count(*) filter (where d.rank = 5))
    from (
      select min(array_position(array['failed', 'pending', 'downloading', 'downloaded', 'updated'], u.state)) as rank
        from public.firmware_updates u
       where u.rollout_id = p_rollout_id
       group by u.external_id) d
$$;
comment on function private.count_rollout is
  'Devices by state; one with several packages counts as failed where one has failed, else by the one that is least far.';
revoke execute on function private.make_step, private.end_updates, private.abandon_updates, private.log_rollout,
  private.end_rollout, private.count_rollout from public;
grant execute on function private.make_step, private.end_updates, private.log_rollout, private.end_rollout, private.count_rollout
  to service_role;
