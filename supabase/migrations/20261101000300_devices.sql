-- The things themselves. A device can't hang on another organization's integration, and outlives its integration.

create table public.devices (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid,
  external_id text not null check (length(external_id) between 1 and 512),
  name text not null check (length(name) between 1 and 512),
  device_type text,
  status text not null default 'unknown' check (status in ('online', 'offline', 'unknown')),
  last_seen_at timestamptz,
  firmware_version text,
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (integration_id, external_id),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete set null (integration_id)
) with (fillfactor = 80);
comment on table public.devices is 'One device, known to its integration as external_id.';
comment on column public.devices.last_seen_at is 'When it last said something, by its own clock where it sends one, never later than we received it.';
create index devices_organization on public.devices (organization_id, id);

create trigger touch_updated_at before update of name, device_type, metadata
  on public.devices for each row execute function private.touch_updated_at();

alter table public.devices enable row level security;
revoke all on public.devices from anon, authenticated;
grant select, delete on public.devices to authenticated;
grant insert (organization_id, integration_id, external_id, name, device_type, metadata) on public.devices to authenticated;
grant update (name, device_type, metadata) on public.devices to authenticated;
grant select, insert, update, delete on public.devices to service_role;

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

create function private.count_devices() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' then
    update public.device_integrations set device_count = device_count - 1 where id = old.integration_id;
    update public.device_integrations set device_count = device_count + 1 where id = new.integration_id;
  else
    update public.device_integrations i
       set device_count = i.device_count + case tg_op when 'INSERT' then c.devices else -c.devices end
      from (select integration_id, count(*)::integer as devices from changed group by integration_id) c
     where i.id = c.integration_id;
  end if;
  return null;
end
$$;
comment on function private.count_devices is 'Keeps device_integrations.device_count: whole-row functions would need the right to read the sealed column.';
revoke execute on function private.count_devices from public;
create trigger count_new_devices after insert on public.devices
  referencing new table as changed for each statement execute function private.count_devices();
create trigger count_deleted_devices after delete on public.devices
  referencing old table as changed for each statement execute function private.count_devices();
create trigger count_moved_devices after update of integration_id on public.devices
  for each row when (old.integration_id is distinct from new.integration_id) execute function private.count_devices();
