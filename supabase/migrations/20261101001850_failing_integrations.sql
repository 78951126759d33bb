-- An integration that fails is something somebody should look at, until it works again.

create function private.alert_failing() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- The activity is written by whoever found it failing, or working.
  if new.status = 'error' then
    insert into public.alerts (organization_id, integration_id, kind, level, message)
    values (new.organization_id, new.id, 'integration.failing', 'error', coalesce(new.error_message, 'It fails.'))
    on conflict (integration_id, kind) where resolved_at is null do nothing;
  else
    update public.alerts set resolved_at = now()
     where integration_id = new.id and kind = 'integration.failing' and resolved_at is null;
  end if;
  return null;
end
$$;
comment on function private.alert_failing is
  'Keeps one alert open while an integration fails: not reached, refused, misconfigured, credentials that do not open.';
revoke execute on function private.alert_failing from public;

-- Not only when it begins to fail: a change of the integration resolves its alerts, and may have mended nothing.
-- Of a webhook its endpoint's circuit raises them.
create trigger alert_failing after update of status, sync_status, error_message on public.device_integrations
  for each row
  when (
    (new.status = 'error' and new.sync_status = 'failed')
    or (old.status = 'error' and new.status <> 'error')
  )
  execute function private.alert_failing();
