-- Which device here is which at a provider that manages devices itself, and where both sides changed the same.

create table public.device_links (
  device_id uuid primary key,
  organization_id uuid not null,
  integration_id uuid not null,
  remote_id text check (length(remote_id) between 1 and 512),
  status text not null check (status in ('creating', 'linked', 'out_of_scope', 'missing')),
  synced_name text,
  synced_tags jsonb,
  wanted jsonb,
  created_at timestamptz not null default now(),
  unique (integration_id, organization_id, remote_id),
  check ((remote_id is null) = (status = 'creating')),
  foreign key (organization_id, device_id) references public.devices (organization_id, id) on delete cascade,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_links is 'Which device here is which at the provider, and what name and tags both had when they were last in step.';
comment on column public.device_links.status is
  'creating: the provider is being asked to create it; out_of_scope: there, but the sync does not look at it; missing: not there any more.';
comment on column public.device_links.wanted is 'creating: the name, hardware_ids and tags it is created with, by which it is known again.';
create index device_links_organization on public.device_links (organization_id, integration_id);
create index device_links_creating on public.device_links (integration_id, created_at) where status = 'creating';

alter table public.device_links enable row level security;
create policy "Members see which device is which" on public.device_links
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table public.device_conflicts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  device_id uuid not null,
  fields text[] not null,
  local jsonb not null,
  remote jsonb not null,
  status text not null default 'open' check (status in ('open', 'resolved')),
  resolution text check (resolution in ('local', 'remote', 'agreed')),
  policy text check (policy in ('local', 'remote', 'newest')),
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  resolved_by uuid,
  applied_at timestamptz,
  check ((status = 'open') = (resolution is null)),
  foreign key (organization_id, device_id) references public.devices (organization_id, id) on delete cascade,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_conflicts is 'Names and tags that were changed on both sides, and who had the say.';
comment on column public.device_conflicts.local is 'The fields as they were here.';
comment on column public.device_conflicts.remote is 'The fields as they were at the provider.';
comment on column public.device_conflicts.resolution is 'Whose values count; agreed: both sides came to the same by themselves.';
comment on column public.device_conflicts.policy is 'What resolved it; null where a person did.';
comment on column public.device_conflicts.resolved_by is 'Who decided, whether there is such a user any more or not.';
comment on column public.device_conflicts.applied_at is 'When both sides were brought in step with the resolution.';
create index device_conflicts_settled on public.device_conflicts (applied_at) where applied_at is not null;
create unique index device_conflicts_unsettled on public.device_conflicts (device_id) where applied_at is null;
create index device_conflicts_device on public.device_conflicts (device_id);
create index device_conflicts_integration on public.device_conflicts (integration_id, created_at desc, id desc);
create index device_conflicts_organization on public.device_conflicts (organization_id, integration_id);

alter table public.device_conflicts enable row level security;
create policy "Members see the conflicts" on public.device_conflicts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create unlogged table private.job_sightings (
  job_id uuid not null references public.integration_jobs (id) on delete cascade,
  remote_id text not null,
  primary key (job_id, remote_id)
);
comment on table private.job_sightings is
  'The devices a sync under way has seen. Unlogged: what a crash forgets is asked for one by one.';
alter table private.job_sightings enable row level security;

create function private.forget_sightings() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from private.job_sightings where job_id = new.id;
  return null;
end
$$;
comment on function private.forget_sightings is 'What a sync has seen goes with its end.';
create trigger forget_sightings after update of status on public.integration_jobs
  for each row when (new.status not in ('pending', 'running')) execute function private.forget_sightings();

revoke all on public.device_links from public, anon, authenticated, service_role;
revoke all on public.device_conflicts from public, anon, authenticated, service_role;
revoke all on private.job_sightings from public, anon, authenticated, service_role;
revoke execute on function private.forget_sightings from public, anon, authenticated, service_role;
