-- Firmware: rollouts of it to devices, and what each device has made of each update.

create table public.firmware_rollouts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  name text not null check (length(name) <= 200 and length(btrim(name)) > 0),
  target jsonb not null check (jsonb_typeof(target) = 'object'),
  artifacts jsonb not null check (jsonb_typeof(artifacts) = 'array'),
  status text not null default 'starting' check (status in ('starting', 'running', 'done', 'failed', 'cancelled')),
  counts jsonb not null default '{}',
  error text check (length(error) <= 2000),
  reference text,
  created_by uuid default auth.uid(),
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
comment on column public.firmware_rollouts.created_by is 'Who asked, whether there is such a user any more or not.';
comment on column public.firmware_rollouts.begun_at is 'From then on the platform may have been told: it can''t just be cancelled here.';
comment on column public.firmware_rollouts.started_at is 'When it began by the platform''s clock.';
comment on column public.firmware_rollouts.swept_at is 'When all devices of the target were last looked through.';
comment on column public.firmware_rollouts.ends_at is 'What is not updated by then has failed.';
comment on column public.firmware_rollouts.state is 'Service only: from where to read on.';
create unique index firmware_rollouts_open on public.firmware_rollouts (integration_id, organization_id, target)
  where status in ('starting', 'running');
create index firmware_rollouts_integration on public.firmware_rollouts (integration_id, created_at desc, id desc);
create index firmware_rollouts_organization on public.firmware_rollouts (organization_id, created_at desc, id desc);
create index firmware_rollouts_finished on public.firmware_rollouts (finished_at) where finished_at is not null;

alter table public.firmware_rollouts enable row level security;
create policy "Members see the rollouts" on public.firmware_rollouts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create trigger check_portable before insert or update of target, artifacts on public.firmware_rollouts
  for each row execute function private.check_portable('target', '1000', 'artifacts', '65536');
create trigger check_quota after insert on public.firmware_rollouts referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('rollouts');

create table public.firmware_updates (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
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
  unique nulls not distinct (integration_id, organization_id, external_id, package, to_version, rollout_id),
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
create index firmware_updates_created on public.firmware_updates using brin (created_at);

alter table public.firmware_updates enable row level security;
create policy "Members see the updates" on public.firmware_updates
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

revoke all on public.firmware_rollouts from public, anon, authenticated, service_role;
revoke all on public.firmware_updates from public, anon, authenticated, service_role;
revoke all on sequence public.firmware_updates_id_seq from public, anon, authenticated, service_role;
