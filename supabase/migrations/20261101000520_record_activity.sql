-- What an integration meets on its own: notes for its activity and alerts, and one alert as long as it fails.

create function public.record_activity(p_integration_id uuid, p_kind text, p_notes jsonb) returns void
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

create function private.alert_failing() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- The activity is written by whoever found it failing, or working.
  if new.status = 'error' then
    insert into public.alerts (organization_id, integration_id, kind, level, message)
    values (new.organization_id, new.id, 'integration.failing', 'error', coalesce(new.error_message, 'It fails.'))
    on conflict (integration_id, organization_id, kind) where resolved_at is null do nothing;
  else
    update public.alerts set resolved_at = now()
     where organization_id = new.organization_id and integration_id = new.id and kind = 'integration.failing'
       and resolved_at is null;
  end if;
  return null;
end
$$;
comment on function private.alert_failing is
  'Keeps one alert open while an integration fails: not reached, refused, misconfigured, credentials that do not open.';

-- Not only when it begins to fail: a change of the integration resolves its alerts, and may have mended nothing.
-- Of a webhook its endpoint's circuit raises them.
create trigger alert_failing after update of status, sync_status, error_message on public.device_integrations
  for each row
  when (
    (new.status = 'error' and new.sync_status = 'failed')
    or (old.status = 'error' and new.status <> 'error')
  )
  execute function private.alert_failing();

revoke execute on function public.record_activity, private.alert_failing from public, anon, authenticated,
  service_role;
