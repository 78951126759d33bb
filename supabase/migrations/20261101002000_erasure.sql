-- What goes with an organization.

create function private.erase_organization() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.device_messages where organization_id = old.id;
  delete from public.webhook_deliveries where organization_id = old.id;
  delete from public.integration_activity where organization_id = old.id;
  delete from public.firmware_updates where organization_id = old.id;
  delete from public.integration_metrics where organization_id = old.id;
  return null;
end
$$;
comment on function private.erase_organization is 'Takes along what has no foreign key to the organization.';
create trigger erase_organization after delete on public.organizations
  for each row execute function private.erase_organization();

revoke execute on function private.erase_organization from public, anon, authenticated, service_role;
