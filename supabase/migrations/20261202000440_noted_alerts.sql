-- Alerts that come with a session's notes: how bad one is need not be how the activity log shows the note.

create function private.end_quiet_alerts(p_until timestamptz) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_alert public.alerts;
  v_ended integer := 0;
begin
  for v_alert in
    select a.* from public.alerts a join private.alert_kinds k on k.kind = a.kind
     where a.resolved_at is null and not k.is_judged and k.lasts is not null and a.updated_at < now() - k.lasts
     order by a.id limit 100 for update of a skip locked
  loop
    update public.alerts a set resolved_at = now() where a.id = v_alert.id;
    if v_alert.integration_id is not null then
      insert into public.integration_activity (organization_id, integration_id, kind, message, details)
      values (v_alert.organization_id, v_alert.integration_id, 'alert.resolved', format('%s is over: it was not met again.', v_alert.kind),
              jsonb_build_object('kinds', jsonb_build_array(v_alert.kind)));
    end if;
    v_ended := v_ended + 1;
    exit when clock_timestamp() > p_until;
  end loop;
  return v_ended;
end
$$;
comment on function private.end_quiet_alerts is 'Ends alerts of what happens at a moment, where it has not happened again for as long as their kind lasts, until it is too late for more than one.';

revoke execute on function private.end_quiet_alerts from public, anon, authenticated, service_role;
