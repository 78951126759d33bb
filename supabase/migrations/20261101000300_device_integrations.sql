-- The connections. What is no secret is in settings; the secrets, sealed, are apart.

create table public.device_integrations (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_type text not null check (integration_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  name text not null check (length(name) <= 200 and length(btrim(name)) > 0),
  status text not null default 'active' check (status in ('active', 'inactive', 'error')),
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
  api_key_encrypted text check (length(api_key_encrypted) <= 32),
  secret_names text[] not null default '{}' check (cardinality(secret_names) <= 200 and pg_column_size(secret_names) <= 16384),
  seal_count integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  last_sync_at timestamptz,
  sync_status text,
  error_message text,
  last_session jsonb,
  device_count integer not null default 0,
  version integer not null default 1,
  unique (organization_id, id),
  constraint device_integrations_name_taken unique (organization_id, name)
);
comment on table public.device_integrations is 'One connection to the outside: a broker, a platform, a webhook.';
comment on column public.device_integrations.settings is 'The config without its secrets. Settings that hold "events" make the row a subscriber.';
comment on column public.device_integrations.api_key_encrypted is
  'The id of the key that its secrets are sealed with, and no more; the sealed text is private.integration_secrets''. Null without secrets.';
comment on column public.device_integrations.seal_count is 'How often its secrets have changed: what they are sealed for.';
comment on column public.device_integrations.secret_names is 'Which secrets are set, by name.';
comment on column public.device_integrations.device_count is 'How many devices hang on it; kept by triggers on devices.';
comment on column public.device_integrations.version is
  'Rises with every change somebody made, not with what the scheduler reports: what If-Match is compared with.';
comment on column public.device_integrations.error_message is 'Why status is error, in words for an admin.';
comment on column public.device_integrations.last_session is
  'What the session that ended last did: started_at, seconds, connect_ms, batches, messages, bytes, duplicates, rejected, warnings.';
create index idx_device_integrations_org on public.device_integrations (organization_id, created_at desc, id desc);
create index idx_device_integrations_type on public.device_integrations (integration_type);
create index idx_device_integrations_status on public.device_integrations (status);
create index device_integrations_created_by on public.device_integrations (created_by) where created_by is not null;
create index device_integrations_subscribers on public.device_integrations (organization_id)
  where status <> 'inactive' and settings ? 'events';

alter table public.device_integrations enable row level security;
create policy "Members see their integrations" on public.device_integrations
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Admins create integrations" on public.device_integrations
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('admin'))));
-- Visible to every member, so that a member's attempt is refused (42501) and a stranger's finds nothing.
create policy "Admins change integrations" on public.device_integrations
  for update to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))))
  with check (organization_id = any (array(select private.org_ids('admin'))));
create policy "Admins delete integrations" on public.device_integrations
  for delete to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));

create trigger check_portable before insert or update of settings on public.device_integrations
  for each row execute function private.check_portable('settings', '262144');
create trigger charge_statement before insert or update or delete on public.device_integrations
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();
-- Bounds are asked for in one order everywhere, so that two that ask at once never wait for each other.
create trigger check_quota after insert on public.device_integrations referencing new table as added
  for each statement when (private.is_user())
  execute function private.check_quota('integrations', 'integration_ids', 'settings_bytes', 'subscribers');
create trigger check_quota_of_settings after update of settings, secret_names on public.device_integrations
  for each row when (private.is_user() and (old.settings, old.secret_names) is distinct from (new.settings, new.secret_names))
  execute function private.check_row_quota('settings_bytes');
create trigger check_quota_of_subscribers after update of settings, status on public.device_integrations
  for each row
  when (
    private.is_user() and new.status <> 'inactive' and new.settings ? 'events'
    and not (old.status <> 'inactive' and old.settings ? 'events')
  )
  execute function private.check_row_quota('subscribers');

create function private.administer_integration(p_integration_id uuid) returns uuid
language plpgsql stable set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select i.organization_id into v_organization_id
    from public.device_integrations i
   where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    raise exception 'There is no such integration here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if not v_organization_id = any (array(select private.org_ids('admin'))) then
    raise exception 'Only admins and owners of the organization may do this.' using errcode = '42501';
  end if;
  return v_organization_id;
end
$$;
comment on function private.administer_integration is
  'Its organization, for an admin of it: PT404 where the caller sees no such integration, 42501 below admin.';

create function private.admit_change(p_integration_id uuid) returns uuid
language plpgsql volatile set search_path = ''
as $$
declare
  v_organization_id uuid := private.administer_integration(p_integration_id);
begin
  perform private.charge('change', v_organization_id);
  return v_organization_id;
end
$$;
comment on function private.admit_change is 'As administer_integration, and takes a token for the change: PT429 where there is none.';

revoke all on public.device_integrations from public, anon, authenticated, service_role;
revoke execute on function private.administer_integration, private.admit_change from public, anon, authenticated, service_role;
