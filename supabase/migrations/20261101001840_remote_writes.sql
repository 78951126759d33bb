-- What people have written at the other side of an integration: kept in the audit log before it is sent there.

create function public.record_remote_write(p_integration_id uuid, p_what text, p_action text, p_values jsonb) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
begin
  perform private.require_portable('p_values', p_values, 16384);
  if p_what !~ '^[a-z]{1,30}$' or jsonb_typeof(p_values) <> 'object' then
    raise exception 'p_what is one word, p_values an object.' using errcode = '22023';
  end if;
  perform private.record_entry(
    v_organization_id, 'remote.' || p_what, p_integration_id, p_action,
    private.compare_rows('{}', p_values, array(select jsonb_object_keys(p_values))), p_source => 'request');
end
$$;
comment on function public.record_remote_write is
  'For admins: writes down that they write p_values (field → value, masked where the name says that it is a secret) to a thing of the kind p_what at the other side. Says what was asked for, not what came of it, and is marked so: source request.';

revoke execute on function public.record_remote_write from public, anon, authenticated, service_role;
