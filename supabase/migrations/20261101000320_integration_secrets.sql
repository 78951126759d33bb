-- The sealed secrets: kept from whoever may read the row, and given out sealed to admins only.

create function private.refuse_unsealed() returns trigger
language plpgsql set search_path = ''
as $$
begin
  -- Not a check constraint: its error, and so the log, would quote the row with what was to be kept secret.
  raise exception 'api_key_encrypted takes only what the integrations function has sealed; send it the config instead.'
    using errcode = '22023';
end
$$;
comment on function private.refuse_unsealed is 'Keeps a user who writes past the API from storing credentials in clear.';
create trigger refuse_unsealed before insert or update of api_key_encrypted
  on public.device_integrations for each row
  when (auth.uid() is not null and new.api_key_encrypted !~ '^[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{40,}$')
  execute function private.refuse_unsealed();

create function public.sealed_config(p_integration_id uuid)
returns table (
  id uuid, organization_id uuid, integration_type text, name text, settings jsonb, secret_names text[], api_key_encrypted text,
  version integer
)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select i.organization_id into v_organization_id
    from public.device_integrations i
   where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    return;
  end if;
  if not v_organization_id = any (array(select private.org_ids('admin'))) then
    raise exception 'Only admins and owners may use the credentials of an integration.' using errcode = '42501';
  end if;
  return query
    select i.id, i.organization_id, i.integration_type, i.name, i.settings, i.secret_names, i.api_key_encrypted, i.version
      from public.device_integrations i
     where i.id = p_integration_id;
end
$$;
comment on function public.sealed_config is
  'For the integrations function, on behalf of an admin: the config with its secrets still sealed. Nothing for strangers, 42501 below admin.';

revoke execute on function private.refuse_unsealed, public.sealed_config from public, anon, authenticated,
  service_role;
