-- What counts as a change that somebody made: it raises version and updated_at.

create trigger touch_updated_at before update of name, status, settings, seal_count, secret_names
  on public.device_integrations for each row
  when (
    (old.name, old.status, old.settings, old.seal_count, old.secret_names)
    is distinct from (new.name, new.status, new.settings, new.seal_count, new.secret_names)
  )
  execute function private.touch_updated_at();

create function private.bump_version() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.version := old.version + 1;
  return new;
end
$$;
comment on function private.bump_version is 'Counts the changes people made. active and error are the scheduler''s to swap, inactive is somebody''s decision.';
create trigger bump_version before update of name, status, settings, seal_count, secret_names
  on public.device_integrations for each row
  when (
    (old.name, old.settings, old.seal_count, old.secret_names, old.status = 'inactive')
    is distinct from (new.name, new.settings, new.seal_count, new.secret_names, new.status = 'inactive')
    or (old.status is distinct from new.status and auth.uid() is not null)
  )
  execute function private.bump_version();

create function private.forget_reason() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.error_message := null;
  return new;
end
$$;
comment on function private.forget_reason is 'What was switched on again no longer says why it was off.';
create trigger forget_reason before update of status on public.device_integrations
  for each row when (old.status = 'inactive' and new.status = 'active')
  execute function private.forget_reason();

revoke execute on function private.bump_version, private.forget_reason from public, anon, authenticated, service_role;
