-- Credentials that the API of a platform refuses to jobs and commands: counted as those of sessions are, each kind by itself, until one succeeds.

create function private.end_refusals() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if tg_table_name = 'integration_jobs' then
    perform private.end_refused(new.organization_id, new.integration_id, new.kind);
  else
    perform private.end_refused(new.organization_id, new.integration_id, 'command');
  end if;
  return null;
end
$$;
comment on function private.end_refusals is 'A job or a command has succeeded, so its kind is not refused any more; another may be, that needs another right.';

create trigger end_refusals after update of status on public.integration_jobs
  -- Decoding anew asks nobody outside.
  for each row when (new.status = 'done' and old.status <> 'done' and new.kind <> 'redecode') execute function private.end_refusals();
create trigger end_refusals after update of status on public.device_commands
  for each row when (old.status = 'sending' and new.status in ('sent', 'confirmed')) execute function private.end_refusals();

revoke execute on function private.end_refusals from public, anon, authenticated, service_role;
