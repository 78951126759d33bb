-- A connection test in the activity log, written on behalf of the admin who ran it.

create function public.record_test(p_integration_id uuid, p_failed text default null) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := (
    select i.organization_id from public.device_integrations i
     where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('admin'))));
begin
  if v_organization_id is null then
    raise exception 'There is no such integration here, or it is not yours to test.' using errcode = 'PT404';
  end if;
  -- The name of a step and nothing else, so that nobody writes a text of their own into the log.
  if p_failed !~ '^[a-z][a-z0-9_ ]{0,39}$' then
    raise exception 'p_failed is the name of a step.' using errcode = '22023';
  end if;
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  values (
    v_organization_id, p_integration_id, 'test', case when p_failed is null then 'info' else 'warning' end,
    coalesce('A connection test failed at the step ' || p_failed || '.', 'A connection test passed.'),
    jsonb_build_object('ok', p_failed is null, 'failed', p_failed, 'user_id', auth.uid()));
end
$$;
comment on function public.record_test is
  'For the integrations function: what came of a test of a saved integration; p_failed names the first step that failed, if any.';
revoke execute on function public.record_test from public, anon, service_role;
grant execute on function public.record_test to authenticated;
