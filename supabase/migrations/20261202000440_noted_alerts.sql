-- Alerts that come with a session's notes: how bad one is need not be how the activity log shows the note.

create function private.end_quiet_alerts() returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_ended integer;
begin
  with quiet as (
    select a.id from public.alerts a join private.alert_kinds k on k.kind = a.kind
     where a.resolved_at is null and not k.is_judged and k.lasts is not null and a.updated_at < now() - k.lasts
     order by a.id limit 100 for update of a skip locked
  ),
  resolved as (
    update public.alerts a set resolved_at = now() from quiet q where a.id = q.id
    returning a.organization_id, a.integration_id, a.kind
  ),
  logged as (
    insert into public.integration_activity (organization_id, integration_id, kind, message, details)
    select r.organization_id, r.integration_id, 'alert.resolved', format('%s is over: it was not met again.', r.kind),
           jsonb_build_object('kinds', jsonb_build_array(r.kind))
      from resolved r where r.integration_id is not null
  )
  select count(*) into v_ended from resolved;
  return v_ended;
end
$$;
comment on function private.end_quiet_alerts is 'Ends alerts of what happens at a moment, where it has not happened again for as long as their kind lasts.';

revoke execute on function private.end_quiet_alerts from public, anon, authenticated, service_role;
