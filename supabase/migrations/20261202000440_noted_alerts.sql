-- Alerts that come with a session's notes: how bad one is need not be how the activity log shows the note.

create or replace function public.record_activity(p_integration_id uuid, p_kind text, p_notes jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_errors text := (
    select left(string_agg(n.message, ' '), 2000)
      from jsonb_to_recordset(p_notes) as n(level text, message text) where n.level = 'error');
begin
  insert into public.integration_activity (organization_id, integration_id, kind, level, message)
  select i.organization_id, i.id, p_kind, n.level, left(n.message, 2000)
    from public.device_integrations i, jsonb_to_recordset(p_notes) as n(level text, message text)
   where i.id = p_integration_id and (n.level <> 'error' or i.error_message is distinct from v_errors);
  update public.device_integrations
     set error_message = v_errors
   where id = p_integration_id and error_message is distinct from v_errors and (v_errors is not null or p_kind = 'receive.recovered');
  insert into public.alerts (organization_id, integration_id, kind, level, message)
  select i.organization_id, i.id, n.alert, coalesce(n.alert_level, n.level), left(n.message, 2000)
    from public.device_integrations i, jsonb_to_recordset(p_notes) as n(level text, message text, alert text, alert_level text)
   where i.id = p_integration_id and n.alert is not null and n.level <> 'info'
  on conflict (integration_id, organization_id, kind) where resolved_at is null do nothing;
  update public.alerts a set resolved_at = now()
    from jsonb_to_recordset(p_notes) as n(level text, alert text)
   where a.integration_id = p_integration_id and a.resolved_at is null and a.kind = n.alert and n.level = 'info';
end
$$;
comment on function public.record_activity is
  'Adds notes [{level, message, alert, alert_level}] to the activity log; an alert of a kind is raised (at alert_level, or the note''s), or ended at level info. Errors show as error_message while the rest of the integration works; the same ones again are not logged again; receive.recovered takes them away.';

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
