-- The things themselves. A device can't hang on another organization's integration, and outlives its integration.

create table public.devices (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid,
  external_id text not null check (length(external_id) between 1 and 512),
  name text not null check (length(name) between 1 and 512),
  device_type text check (length(device_type) <= 200),
  status text not null default 'unknown' check (status in ('online', 'offline', 'unknown')),
  last_seen_at timestamptz,
  firmware_version text,
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  edited_at timestamptz not null default now(),
  silent_since timestamptz,
  constraint devices_organization_device unique (organization_id, id),
  unique (integration_id, external_id, organization_id),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete set null (integration_id)
) with (fillfactor = 50);
comment on table public.devices is 'One device, known to its integration as external_id.';
-- Whoever looks for it by these two leaves the organization out, which follows from the integration: before there are
-- statistics, any index that begins with the organization looks as good, and reads all its devices.
comment on column public.devices.last_seen_at is 'When it last said something, by its own clock where it sends one, never later than we received it.';
comment on column public.devices.silent_since is 'Since when nothing has come from it, where it was taken for offline because of that; null otherwise.';
alter table public.devices enable row level security;
create policy "Members see their devices" on public.devices
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Admins add devices" on public.devices
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('admin'))));
create policy "Members edit devices" on public.devices
  for update to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))))
  with check (organization_id = any (array(select private.org_ids('member'))));
create policy "Admins delete devices" on public.devices
  for delete to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));
comment on column public.devices.edited_at is 'When somebody here last changed its name or tags; a sync does not count.';

create trigger touch_updated_at before update of name, device_type, metadata
  on public.devices for each row execute function private.touch_updated_at();

create function private.touch_edited_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.edited_at := clock_timestamp();
  return new;
end
$$;
comment on function private.touch_edited_at is 'When somebody here changed its name or tags.';
create trigger touch_edited_at before update of name, metadata on public.devices
  for each row
  when (
    (old.name, old.metadata -> 'tags') is distinct from (new.name, new.metadata -> 'tags')
    and current_setting('app.syncing', true) is distinct from 'on'
  )
  execute function private.touch_edited_at();

revoke all on public.devices from public, anon, authenticated, service_role;
revoke execute on function private.touch_edited_at from public, anon, authenticated, service_role;
