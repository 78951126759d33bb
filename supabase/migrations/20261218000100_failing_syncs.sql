-- A sync of devices that does not come to its end: nobody waits for it, so somebody has to be told.

create function private.tell_sync() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.status = 'done' then
    update public.alerts a set resolved_at = now()
     where a.organization_id = new.organization_id and a.integration_id = new.integration_id and a.kind = 'sync.failing'
       and a.resolved_at is null;
  elsif new.status = 'failed' or new.attempts >= (select k.threshold from private.alert_kinds k where k.kind = 'sync.failing') then
    perform private.raise_alert(
      new.integration_id, 'sync.failing', 'warning',
      left('Devices are not brought in step: ' || coalesce(new.error, 'the job failed.'), 2000),
      jsonb_build_object('job_id', new.id, 'attempts', new.attempts));
  end if;
  return null;
end
$$;
comment on function private.tell_sync is
  'Raises sync.failing where a sync fails, for good or again and again, and ends it with the next one that is done. What a dry run comes to is its caller''s to read.';
create trigger tell_sync after update of status on public.integration_jobs
  for each row
  when (new.kind = 'sync' and new.status in ('pending', 'done', 'failed') and old.status is distinct from new.status
        and new.request ->> 'dry_run' is distinct from 'true')
  execute function private.tell_sync();

revoke execute on function private.tell_sync from public, anon, authenticated, service_role;
