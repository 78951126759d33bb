-- The connections. Secrets are sealed in api_key_encrypted, which no user may read; the rest is in settings.

create table public.device_integrations (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_type text not null check (integration_type ~ '^[a-z][a-z0-9_]{0,39}$'),
  name text not null check (length(btrim(name)) between 1 and 200),
  status text not null default 'active' check (status in ('active', 'inactive', 'error')),
  settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 262144),
  api_key_encrypted text check (octet_length(api_key_encrypted) <= 262144),
  secret_names text[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  last_sync_at timestamptz,
  sync_status text,
  error_message text,
  device_count integer not null default 0,
  version integer not null default 1,
  unique (organization_id, id),
  constraint device_integrations_name_taken unique (organization_id, name)
);
comment on table public.device_integrations is 'One connection to the outside: a broker, a platform, a webhook.';
comment on column public.device_integrations.settings is 'The config without its secrets. Settings that hold "events" make the row a subscriber.';
comment on column public.device_integrations.api_key_encrypted is 'The secrets, sealed: <key id>.<base64url(nonce and ciphertext)>. Readable by service_role only.';
comment on column public.device_integrations.secret_names is 'Which secrets are set, by name.';
comment on column public.device_integrations.device_count is 'How many devices hang on it; kept by triggers on devices.';
comment on column public.device_integrations.version is
  'Rises with every change somebody made, not with what the scheduler reports: what If-Match is compared with.';
comment on column public.device_integrations.error_message is 'Why status is error, in words for an admin.';

create index idx_device_integrations_org on public.device_integrations (organization_id, created_at desc, id desc);
create index idx_device_integrations_type on public.device_integrations (integration_type);
create index idx_device_integrations_status on public.device_integrations (status);
create index device_integrations_subscribers on public.device_integrations (organization_id)
  where status <> 'inactive' and settings ? 'events';

create function private.touch_updated_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.updated_at := greatest(clock_timestamp(), old.updated_at + interval '1 microsecond');
  return new;
end
$$;
comment on function private.touch_updated_at is 'Keeps updated_at strictly rising, so it can serve as a version.';
create trigger touch_updated_at before update of name, status, settings, api_key_encrypted, secret_names
  on public.device_integrations for each row
  when (
    (old.name, old.status, old.settings, old.api_key_encrypted, old.secret_names)
    is distinct from (new.name, new.status, new.settings, new.api_key_encrypted, new.secret_names)
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
create trigger bump_version before update of name, status, settings, api_key_encrypted, secret_names
  on public.device_integrations for each row
  when (
    current_setting('app.resealing', true) is distinct from 'on'
    and (
      (old.name, old.settings, old.api_key_encrypted, old.secret_names, old.status = 'inactive')
      is distinct from (new.name, new.settings, new.api_key_encrypted, new.secret_names, new.status = 'inactive')
      or (old.status is distinct from new.status and auth.uid() is not null)
    )
  )
  execute function private.bump_version();

create function private.refuse_unsealed() returns trigger
language plpgsql set search_path = ''
as $$
begin
  -- Not a check constraint: its error, and so the log, would quote the row with what was to be kept secret.
  raise exception 'api_key_encrypted takes only what the integrations function has sealed; send it the config instead.'
    using errcode = '22023';
end
$$;
comment on function private.refuse_unsealed is 'Keeps a user who writes past the API from storing credentials in clear.';
create trigger refuse_unsealed before insert or update of api_key_encrypted
  on public.device_integrations for each row
  when (auth.uid() is not null and new.api_key_encrypted !~ '^[A-Za-z0-9_-]{1,32}\.[A-Za-z0-9_-]{40,}$')
  execute function private.refuse_unsealed();

alter table public.device_integrations enable row level security;
revoke all on public.device_integrations from anon, authenticated;
grant select (
  id, organization_id, integration_type, name, status, settings, secret_names, created_at, updated_at, created_by,
  last_sync_at, sync_status, error_message, device_count, version
) on public.device_integrations to authenticated;
grant insert (id, organization_id, integration_type, name, status, settings, api_key_encrypted, secret_names)
  on public.device_integrations to authenticated;
grant update (name, status, settings, api_key_encrypted, secret_names) on public.device_integrations to authenticated;
grant delete on public.device_integrations to authenticated;
grant select, insert, update, delete on public.device_integrations to service_role;

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

create function public.sealed_config(p_integration_id uuid)
returns table (
  id uuid, organization_id uuid, integration_type text, name text, settings jsonb, secret_names text[], api_key_encrypted text,
  version integer
)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select i.organization_id into v_organization_id
    from public.device_integrations i
   where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    return;
  end if;
  if not v_organization_id = any (array(select private.org_ids('admin'))) then
    raise exception 'Only admins and owners may use the credentials of an integration.' using errcode = '42501';
  end if;
  return query
    select i.id, i.organization_id, i.integration_type, i.name, i.settings, i.secret_names, i.api_key_encrypted, i.version
      from public.device_integrations i
     where i.id = p_integration_id;
end
$$;
comment on function public.sealed_config is
  'For the integrations function, on behalf of an admin: the config with its secrets still sealed. Nothing for strangers, 42501 below admin.';
revoke execute on function public.sealed_config from public, anon, service_role;
grant execute on function public.sealed_config to authenticated;
