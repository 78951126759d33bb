-- Tokens by which a device proves itself when it posts: shown once, kept as hashes.

create table public.device_tokens (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  external_id text not null check (length(external_id) between 1 and 512),
  created_at timestamptz not null default now(),
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  expires_at timestamptz,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_tokens is 'Which devices have tokens by which they prove themselves to one integration, each for itself alone.';
comment on column public.device_tokens.external_id is 'The device, as the outside names it; it need not be known yet.';
comment on column public.device_tokens.expires_at is 'When it ends, where another has taken its place; null for never.';
create index device_tokens_page on public.device_tokens (integration_id, created_at desc, id desc);
create index device_tokens_organization on public.device_tokens (organization_id, integration_id);
create index device_tokens_created_by on public.device_tokens (created_by) where created_by is not null;

create table private.device_token_hashes (
  token_id uuid primary key references public.device_tokens (id) on delete cascade,
  token_hash text not null unique check (token_hash ~ '^[0-9a-f]{64}$')
);
comment on table private.device_token_hashes is 'The SHA-256 of each token: what is kept of it.';
alter table private.device_token_hashes enable row level security;

alter table public.device_tokens enable row level security;
create policy "Members see which tokens there are" on public.device_tokens
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create trigger audit_rows after insert or delete on public.device_tokens
  for each row when (auth.uid() is not null) execute function private.record_change('integration_id', 'external_id');
create trigger audit_changes after update of expires_at on public.device_tokens
  for each row when (auth.uid() is not null) execute function private.record_change('expires_at');

insert into private.quotas (bound, most) values ('device_tokens', 100000);

create function private.add_device_token(
  p_organization_id uuid, p_integration_id uuid, p_external_id text, p_token_hash text
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid;
begin
  -- What has ended makes room.
  delete from public.device_tokens t where t.integration_id = p_integration_id and t.expires_at < now();
  insert into public.device_tokens (organization_id, integration_id, external_id)
  values (p_organization_id, p_integration_id, p_external_id)
  returning id into v_id;
  insert into private.device_token_hashes (token_id, token_hash) values (v_id, p_token_hash);
  perform private.require_quota(p_organization_id, 'device_tokens');
  return (select to_jsonb(t) from public.device_tokens t where t.id = v_id);
end
$$;
comment on function private.add_device_token is 'A new token''s row.';

create function public.issue_device_token(p_integration_id uuid, p_external_id text, p_token_hash text) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
begin
  return private.add_device_token(v_organization_id, p_integration_id, p_external_id, p_token_hash);
end
$$;
comment on function public.issue_device_token is
  'For the integrations function, on behalf of an admin: keeps the hash of a new token of a device. PT404 for strangers, 42501 below admin.';

create function public.rotate_device_token(
  p_integration_id uuid, p_token_id uuid, p_token_hash text, p_grace_seconds integer
) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_external_id text;
begin
  update public.device_tokens t
     set expires_at = least(t.expires_at, now() + make_interval(secs => least(greatest(p_grace_seconds, 0), 604800)))
   where t.id = p_token_id and t.integration_id = p_integration_id and t.organization_id = v_organization_id
     and (t.expires_at is null or t.expires_at > now())
  returning t.external_id into v_external_id;
  if not found then
    raise exception 'This integration has no such token.' using errcode = 'PT404';
  end if;
  return private.add_device_token(v_organization_id, p_integration_id, v_external_id, p_token_hash);
end
$$;
comment on function public.rotate_device_token is 'As issue_device_token, in the place of another, which ends after p_grace_seconds, a week at most.';

create function public.revoke_device_token(p_integration_id uuid, p_token_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
begin
  delete from public.device_tokens t
   where t.id = p_token_id and t.integration_id = p_integration_id and t.organization_id = v_organization_id;
  if not found then
    raise exception 'This integration has no such token.' using errcode = 'PT404';
  end if;
end
$$;
comment on function public.revoke_device_token is 'Ends a token at once, for an admin. PT404 where there is none.';

create function public.find_device_tokens(p_tokens jsonb) returns table (integration_id uuid, token_hash text, external_id text)
language sql stable set search_path = ''
as $$
  select t.integration_id, h.token_hash, t.external_id
    from jsonb_to_recordset(p_tokens) as w(integration_id uuid, token_hash text)
    join private.device_token_hashes h on h.token_hash = w.token_hash
    join public.device_tokens t on t.id = h.token_id and t.integration_id = w.integration_id
   where t.expires_at is null or t.expires_at > now()
$$;
comment on function public.find_device_tokens is 'For receivers: of [{integration_id, token_hash}] those that are valid, and whose they are.';

revoke all on public.device_tokens, private.device_token_hashes from public, anon, authenticated, service_role;
revoke execute on function private.add_device_token, public.issue_device_token, public.rotate_device_token,
  public.revoke_device_token, public.find_device_tokens from public, anon, authenticated, service_role;
