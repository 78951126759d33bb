-- Devices made here and created at the provider, with the credentials they sign in there with. What is begun is written
-- down first, so that whatever was cut off is completed or undone.

create table public.device_provisionings (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  device_id uuid,
  request jsonb not null check (jsonb_typeof(request) = 'object'),
  credentials text not null check (credentials in ('psk', 'certificate', 'none')),
  identity text check (length(identity) <= 512),
  makes_device boolean not null,
  status text not null default 'pending' check (status in ('pending', 'done', 'failed')),
  error text,
  due_at timestamptz not null,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  foreign key (organization_id, device_id) references public.devices (organization_id, id) on delete cascade,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_provisionings is 'Each device that was to be created at a provider, and what came of it.';
comment on column public.device_provisionings.request is 'What it is created with: name, hardware_ids, tags, cohort.';
comment on column public.device_provisionings.identity is 'The name it signs in with there, where the credentials are a pre-shared key.';
comment on column public.device_provisionings.makes_device is 'Whether the device was made for it, and goes again where it fails.';
comment on column public.device_provisionings.due_at is 'pending: from when on the scheduler completes what the call that began it has not.';
create unique index device_provisionings_pending on public.device_provisionings (device_id) where status = 'pending';
create index device_provisionings_due on public.device_provisionings (integration_id, due_at) where status = 'pending';
create index device_provisionings_failed on public.device_provisionings (finished_at) where status = 'failed';
create index device_provisionings_device on public.device_provisionings (device_id);
create index device_provisionings_organization on public.device_provisionings (organization_id, integration_id);

alter table public.device_provisionings enable row level security;
create policy "Members see the provisionings" on public.device_provisionings
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create index device_provisionings_open on public.device_provisionings (organization_id) where status <> 'done';
create trigger check_portable before insert or update of request on public.device_provisionings
  for each row execute function private.check_portable('request', '65536');
create trigger check_quota after insert on public.device_provisionings referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('integration_ids', 'provisionings');

create table private.provisioning_secrets (
  provisioning_id uuid primary key references public.device_provisionings (id) on delete cascade,
  organization_id uuid not null,
  sealed text not null check (octet_length(sealed) <= 65536),
  key_id text generated always as (private.read_key_id(null, sealed)) stored
);
comment on table private.provisioning_secrets is 'The pre-shared keys of devices, sealed, each bound to its provisioning.';
comment on column private.provisioning_secrets.key_id is 'Which key it is sealed with.';
create index provisioning_secrets_key on private.provisioning_secrets (key_id, provisioning_id);

alter table private.provisioning_secrets enable row level security;

create trigger refuse_unsealed before insert or update on private.provisioning_secrets
  for each row when (private.is_user() and new.sealed !~ '^[A-Za-z0-9_-]{1,32}[.][A-Za-z0-9_-]{40,}$')
  execute function private.refuse_unsealed();

create function private.show_provisioning(p_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
           'provisioning', to_jsonb(p) - 'makes_device', 'device', to_jsonb(d))
    from public.device_provisionings p
    left join public.devices d on d.organization_id = p.organization_id and d.id = p.device_id
   where p.id = p_id
$$;
comment on function private.show_provisioning is 'A provisioning as admins may read it, with its device.';

revoke all on public.device_provisionings, private.provisioning_secrets from public, anon, authenticated, service_role;
revoke execute on function private.show_provisioning from public, anon, authenticated, service_role;
