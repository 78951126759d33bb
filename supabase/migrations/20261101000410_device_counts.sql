-- How many devices hang on each integration, and how many an organization may have.
--
-- Ingest makes devices in transactions that hold messages of several organizations, so it may never wait for a bound. It takes
-- locks only where they are free: far from the bound one of eight lanes, each good for a sixteenth of it; near the bound all
-- eight, and where it does not get them it makes no device this time. Whoever makes devices otherwise waits for all eight before
-- it touches a device. So the bound holds exactly, and nothing waits in a circle.

create function private.hold_devices(p_organization_id uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  for v_lane in 0..7 loop
    perform pg_advisory_xact_lock(hashtext('private.device_lane ' || v_lane), hashtext(p_organization_id::text));
  end loop;
end
$$;
comment on function private.hold_devices is 'Until the end of the transaction nobody else makes devices of the organization. Call it before touching any.';

create function private.hold_own_devices() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_held text := coalesce(current_setting('quotas.held', true), '');
begin
  -- Nothing of anybody else's is locked: rows of theirs are refused by the policy, but only after this.
  if new.organization_id::text <> v_held and new.organization_id in (select private.org_ids('admin')) then
    if v_held <> '' then
      raise exception 'organization_id: devices are added to one organization at a time.' using errcode = '22023';
    end if;
    perform private.hold_devices(new.organization_id);
    perform set_config('quotas.held', new.organization_id::text, true);
  end if;
  return new;
end
$$;
comment on function private.hold_own_devices is
  'Before a user adds the first of some devices past the API. Of one organization at a time: who held some and waited for others could wait in a circle.';
create trigger hold_own_devices before insert on public.devices
  for each row when (current_user = 'authenticated') execute function private.hold_own_devices();
create trigger charge_statement before insert or update or delete on public.devices
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();

create function private.take_device_room(p_organization_id uuid, p_wanted integer) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_most bigint := private.read_quota(p_organization_id, 'devices');
  v_place text := 'quotas.d' || translate(p_organization_id::text, '-', '');
  -- What this transaction has taken already, which others don't see yet.
  v_taken integer := coalesce(nullif(current_setting(v_place, true), ''), '0')::integer + p_wanted;
begin
  if v_most is null then
    return p_wanted;
  end if;
  for v_lane in 0..7 loop
    exit when v_taken > v_most / 16;
    if pg_try_advisory_xact_lock(hashtext('private.device_lane ' || v_lane), hashtext(p_organization_id::text)) then
      exit when private.count_devices_of(p_organization_id) + p_wanted > v_most / 2;
      perform set_config(v_place, v_taken::text, true);
      return p_wanted;
    end if;
  end loop;
  for v_lane in 0..7 loop
    if not pg_try_advisory_xact_lock(hashtext('private.device_lane ' || v_lane), hashtext(p_organization_id::text)) then
      return 0;
    end if;
  end loop;
  return greatest(0, least(p_wanted, v_most - private.count_devices_of(p_organization_id)));
end
$$;
comment on function private.take_device_room is
  'How many of so many new devices the organization has room for; waits for nobody. Those without room are met again with their next message.';

create table private.device_statuses (
  status text primary key,
  devices bigint not null
);
comment on table private.device_statuses is 'How many devices of all organizations have each status, but for what is in device_tallies still.';
insert into private.device_statuses select d.status, count(*) from public.devices d group by 1;
alter table private.device_statuses enable row level security;

create table private.device_tallies (
  status text not null,
  devices bigint not null
);
comment on table private.device_tallies is 'How many devices more, or less, have a status since a transaction: only written, and summed up by maintenance, so that nobody waits.';
alter table private.device_tallies enable row level security;

create function private.tally_status() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into private.device_tallies (status, devices) values (old.status, -1), (new.status, 1);
  return null;
end
$$;
comment on function private.tally_status is 'Notes that a device has another status.';
-- Of any update: a trigger may change it with what another column is set to.
create trigger tally_changed_status after update on public.devices
  for each row when (old.status is distinct from new.status) execute function private.tally_status();

create function private.sum_device_tallies(p_limit integer) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_taken private.device_tallies[];
begin
  with taken as (
    delete from private.device_tallies
     where ctid = any (array(select t.ctid from private.device_tallies t limit p_limit for update skip locked))
    returning *
  )
  select array_agg(t::private.device_tallies) into v_taken from taken t;
  insert into private.device_statuses as s (status, devices)
  select t.status, sum(t.devices) from unnest(v_taken) t group by 1 order by 1
  on conflict (status) do update set devices = s.devices + excluded.devices;
  return coalesce(cardinality(v_taken), 0);
end
$$;
comment on function private.sum_device_tallies is 'Maintenance, in batches: adds what was tallied to device_statuses; how many tallies.';

create function private.list_device_statuses() returns table (status text, devices bigint)
language sql stable set search_path = ''
as $$
  select c.status, sum(c.devices)::bigint
    from (select s.status, s.devices from private.device_statuses s union all select t.status, t.devices from private.device_tallies t) c
   group by 1 having sum(c.devices) > 0
$$;
comment on function private.list_device_statuses is 'How many devices have each status, without reading them.';

create function private.count_devices() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  if tg_op = 'UPDATE' then
    update public.device_integrations set device_count = device_count - 1
     where id = old.integration_id and organization_id = old.organization_id;
    update public.device_integrations set device_count = device_count + 1
     where id = new.integration_id and organization_id = new.organization_id;
    return null;
  end if;
  -- A batch of messages inserts devices that are there, and so mostly none.
  if not exists (select from changed) then
    return null;
  end if;
  insert into private.device_tallies (status, devices)
  select c.status, case tg_op when 'INSERT' then count(*) else -count(*) end from changed c group by 1;
  update public.device_integrations i
     set device_count = i.device_count + case tg_op when 'INSERT' then c.devices else -c.devices end
    from (
      select organization_id, integration_id, count(*)::integer as devices from changed group by organization_id, integration_id) c
   where i.id = c.integration_id and i.organization_id = c.organization_id;
  if tg_op = 'INSERT' and private.is_user() then
    for v_organization_id in select distinct c.organization_id from changed c order by 1 loop
      perform private.require_quota(v_organization_id, 'devices');
    end loop;
  end if;
  return null;
end
$$;
comment on function private.count_devices is 'Keeps device_integrations.device_count, tallies new devices and those that are gone, and holds users to the bound of devices.';
create trigger count_new_devices after insert on public.devices
  referencing new table as changed for each statement execute function private.count_devices();
create trigger count_deleted_devices after delete on public.devices
  referencing old table as changed for each statement execute function private.count_devices();
create trigger count_moved_devices after update of integration_id on public.devices
  for each row when (old.integration_id is distinct from new.integration_id) execute function private.count_devices();

create index devices_large_metadata on public.devices (organization_id, octet_length(metadata::text))
  where octet_length(metadata::text) > 4096;
comment on index public.devices_large_metadata is 'What the bound metadata_bytes adds up.';
create trigger check_portable before insert on public.devices
  for each row when (new.metadata is distinct from '{}') execute function private.check_portable('metadata', '65536');
create trigger check_changed_metadata before update of metadata on public.devices
  for each row when (old.metadata is distinct from new.metadata) execute function private.check_portable('metadata', '65536');
create trigger check_quota after insert on public.devices
  for each row when (octet_length(new.metadata::text) > 4096 and auth.uid() is not null)
  execute function private.check_row_quota('metadata_bytes');
create trigger check_quota_of_metadata after update of metadata on public.devices
  for each row
  when (octet_length(new.metadata::text) > greatest(4096, octet_length(old.metadata::text)) and auth.uid() is not null)
  execute function private.check_row_quota('metadata_bytes');

revoke all on private.device_statuses, private.device_tallies from public, anon, authenticated, service_role;
revoke execute on function private.tally_status, private.sum_device_tallies, private.list_device_statuses, private.hold_devices, private.hold_own_devices, private.take_device_room, private.count_devices from public, anon, authenticated, service_role;
