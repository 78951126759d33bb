-- Which device here a provider's device is, and having it go by its id there.

create function private.hardware_keys(p_organization_id uuid, p_ids text[]) returns text[]
language sql immutable parallel safe set search_path = ''
as $$ select array(select p_organization_id::text || ':' || i from unnest(p_ids) i) $$;
comment on function private.hardware_keys is
  'Hardware ids as an index holds them, each with its organization: one organization''s search never meets another''s devices.';

-- Without a list of what is still to be indexed, which every search would read from one end to the other.
create index devices_hardware_ids on public.devices
  using gin (private.hardware_keys(organization_id, private.read_strings(metadata -> 'hardware_ids'))) with (fastupdate = off)
  where metadata ? 'hardware_ids';
create index devices_serial_number on public.devices (organization_id, (metadata ->> 'serial_number'))
  where metadata ? 'serial_number';
create index devices_orphans on public.devices (organization_id, external_id) where integration_id is null;

create function private.is_free(p_device_id uuid) returns boolean
language sql stable set search_path = ''
as $$
  select not exists (
    select from public.device_links l where l.device_id = p_device_id and l.status in ('linked', 'out_of_scope'))
$$;
comment on function private.is_free is 'Whether a device is no provider''s device yet.';

create function private.find_claim(p_integration public.device_integrations, p_remote jsonb) returns uuid
language sql stable set search_path = ''
as $$
  select l.device_id
    from public.device_links l
   where l.integration_id = p_integration.id and l.organization_id = p_integration.organization_id and l.status = 'creating'
     and case when l.wanted -> 'hardware_ids' = '[]' then l.wanted ->> 'name' = p_remote ->> 'name'
              else (l.wanted -> 'hardware_ids') ?| private.read_strings(p_remote -> 'hardware_ids') end
   order by l.created_at
   limit 1
$$;
comment on function private.find_claim is 'The device that is being created at the provider and that this one must be, as its answer got lost.';

create function private.choose_alike(p_integration public.device_integrations, p_ids uuid[]) returns public.devices
language plpgsql volatile set search_path = ''
as $$
declare
  v_device public.devices;
begin
  if cardinality(p_ids) > 0 then
    -- Devices without an integration are what deleted ones have left behind.
    select d.* into v_device
      from public.devices d
     where d.id = any (p_ids) and d.organization_id = p_integration.organization_id
       and (d.integration_id = p_integration.id or d.integration_id is null) and private.is_free(d.id)
     order by d.integration_id, d.created_at, d.id
     limit 1
       for no key update;
  end if;
  return v_device;
end
$$;
comment on function private.choose_alike is 'Of these devices the first that the integration may take; null where there is none.';

create function private.match_device(p_integration public.device_integrations, p_remote jsonb) returns public.devices
language plpgsql volatile set search_path = '' set enable_seqscan = off -- its plans are made while the table is still small
as $$
declare
  v_hardware text[] := private.read_strings(p_remote -> 'hardware_ids');
  v_device public.devices;
  v_claim uuid;
  v_alike uuid[];
begin
  select d.* into v_device
    from public.devices d
   where d.integration_id = p_integration.id and d.external_id = p_remote ->> 'id'
     for no key update;
  if found and not private.is_free(v_device.id) then
    return v_device;
  end if;
  v_claim := private.find_claim(p_integration, p_remote);
  if v_claim is not null then
    select d.* into v_device from public.devices d where d.id = v_claim for no key update;
  end if;
  if v_device.id is not null then
    return v_device;
  end if;
  v_alike := array(
    select h.id from public.devices h
     where h.metadata ? 'hardware_ids'
       and private.hardware_keys(h.organization_id, private.read_strings(h.metadata -> 'hardware_ids'))
           && private.hardware_keys(p_integration.organization_id, v_hardware));
  v_device := private.choose_alike(p_integration, v_alike);
  if v_device.id is null then
    v_alike := array(
      select h.id from public.devices h
       where h.organization_id = p_integration.organization_id
         and h.metadata ? 'serial_number' and h.metadata ->> 'serial_number' = any (v_hardware));
    v_device := private.choose_alike(p_integration, v_alike);
  end if;
  if v_device.id is not null then
    return v_device;
  end if;
  select d.* into v_device
    from public.devices d
   where d.organization_id = p_integration.organization_id and d.integration_id is null and d.external_id = p_remote ->> 'id'
   order by d.created_at, d.id
   limit 1 for no key update;
  return v_device;
end
$$;
comment on function private.match_device is
  'The device here that a provider''s device is: by its id there, by a creation that was begun, by hardware id, by serial number. '
  'Null where there is none.';

create function private.link_device(p_integration public.device_integrations, p_device_id uuid, p_remote_id text) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  v_begun timestamptz := (select l.created_at from public.device_links l 
                            where l.device_id = p_device_id and l.organization_id = p_integration.organization_id
                              and l.status = 'creating');
  v_twin public.devices;
begin
  select d.* into v_twin
    from public.devices d
   where d.integration_id = p_integration.id and d.external_id = p_remote_id and d.id <> p_device_id
     for update;
  if found then
    -- What it said before we knew its id has made a device of its own, which nobody can have used yet.
    if v_twin.name <> v_twin.external_id or v_twin.created_at < coalesce(v_begun, 'infinity')
       or not private.is_free(v_twin.id) then
      return false;
    end if;
    update public.device_messages set device_id = p_device_id
     where device_id = v_twin.id and organization_id = p_integration.organization_id;
    update public.device_commands set device_id = p_device_id
     where device_id = v_twin.id and organization_id = p_integration.organization_id;
    delete from public.devices where id = v_twin.id;
  end if;
  update public.devices set integration_id = p_integration.id, external_id = p_remote_id
   where id = p_device_id and organization_id = p_integration.organization_id;
  insert into public.device_links as l (device_id, organization_id, integration_id, remote_id, status)
  values (p_device_id, p_integration.organization_id, p_integration.id, p_remote_id, 'linked')
  on conflict (device_id) do update
    set integration_id = excluded.integration_id, remote_id = excluded.remote_id, status = 'linked', wanted = null;
  return true;
end
$$;
comment on function private.link_device is
  'Has a device go by its id at the provider from now on; false where another device has that id already.';

revoke execute on function private.hardware_keys, private.is_free, private.find_claim, private.choose_alike, private.match_device,
  private.link_device from public, anon, authenticated, service_role;
