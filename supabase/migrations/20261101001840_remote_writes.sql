-- What people have written at the other side of an integration: kept in the audit log before it is sent there.

create function public.record_remote_write(p_integration_id uuid, p_what text, p_action text, p_values jsonb) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.administer_integration(p_integration_id);
begin
  if p_what !~ '^[a-z]{1,30}$' or jsonb_typeof(p_values) <> 'object' or octet_length(p_values::text) > 16384 then
    raise exception 'p_what is one word, p_values an object of at most 16384 bytes.' using errcode = '22023';
  end if;
  insert into public.audit_log
    (organization_id, table_name, row_id, action, actor_id, actor_role, database_role, changed, request_id)
  values (
    v_organization_id, 'remote.' || p_what, p_integration_id, p_action, auth.uid(),
    private.find_role(v_organization_id, auth.uid()), current_setting('role', true),
    private.compare_rows('{}', p_values, array(select jsonb_object_keys(p_values))), private.read_request_id());
end
$$;
comment on function public.record_remote_write is
  'For admins: writes down that they write p_values (field → value, masked where the name says that it is a secret) to a thing of the kind p_what at the other side. Says what was asked for, not what came of it.';

revoke execute on function public.record_remote_write from public, anon, authenticated, service_role;
