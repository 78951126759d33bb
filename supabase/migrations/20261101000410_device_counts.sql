-- How many devices hang on each integration.

create function private.count_devices() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if tg_op = 'UPDATE' then
    update public.device_integrations set device_count = device_count - 1
     where id = old.integration_id and organization_id = old.organization_id;
    update public.device_integrations set device_count = device_count + 1
     where id = new.integration_id and organization_id = new.organization_id;
  else
    update public.device_integrations i
       set device_count = i.device_count + case tg_op when 'INSERT' then c.devices else -c.devices end
      from (
        select organization_id, integration_id, count(*)::integer as devices from changed group by organization_id, integration_id) c
     where i.id = c.integration_id and i.organization_id = c.organization_id;
  end if;
  return null;
end
$$;
comment on function private.count_devices is 'Keeps device_integrations.device_count: whole-row functions would need the right to read the sealed column.';
create trigger count_new_devices after insert on public.devices
  referencing new table as changed for each statement execute function private.count_devices();
create trigger count_deleted_devices after delete on public.devices
  referencing old table as changed for each statement execute function private.count_devices();
create trigger count_moved_devices after update of integration_id on public.devices
  for each row when (old.integration_id is distinct from new.integration_id) execute function private.count_devices();

revoke execute on function private.count_devices from public, anon, authenticated, service_role;
