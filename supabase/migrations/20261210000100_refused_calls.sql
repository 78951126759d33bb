-- Credentials that the API of a platform refuses to jobs and commands: counted as those of sessions are, until a call succeeds.

create function private.end_refusals() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- Somebody else's batch that holds it is not waited for: the next success is as good.
  update public.integration_facts f set refusals = 0
   where f.integration_id = new.integration_id and f.direction = 'in'
     and exists (
       select from public.integration_facts h
        where h.integration_id = new.integration_id and h.direction = 'in' and h.refusals > 0 for update skip locked);
  if found then
    update public.alerts a set resolved_at = now()
     where a.integration_id = new.integration_id and a.organization_id = new.organization_id and a.kind = 'authentication.failed'
       and a.resolved_at is null;
  end if;
  return null;
end
$$;
comment on function private.end_refusals is 'A job or a command has succeeded, so the credentials are not refused any more.';

create trigger end_refusals after update of status on public.integration_jobs
  -- Decoding anew asks nobody outside.
  for each row when (new.status = 'done' and old.status <> 'done' and new.kind <> 'redecode') execute function private.end_refusals();
create trigger end_refusals after update of status on public.device_commands
  for each row when (old.status = 'sending' and new.status in ('sent', 'confirmed')) execute function private.end_refusals();

revoke execute on function private.end_refusals from public, anon, authenticated, service_role;
