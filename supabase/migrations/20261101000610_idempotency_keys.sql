-- Idempotency keys: a POST that is sent again gets the reply of the first one, for a day.

create table private.idempotency_keys (
  user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
  key text not null check (length(key) between 1 and 255),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  fingerprint text not null check (octet_length(fingerprint) <= 1024),
  reply jsonb,
  created_at timestamptz not null default now(),
  primary key (user_id, key)
);
comment on table private.idempotency_keys is
  'What each user''s key was answered with. Only write_integration comes near it.';
comment on column private.idempotency_keys.fingerprint is
  'A hash of the request, sealed: a body holds secrets, and a bare hash of one would let them be guessed.';
create index idempotency_keys_created on private.idempotency_keys (created_at);
create index idempotency_keys_organization on private.idempotency_keys (organization_id);

alter table private.idempotency_keys enable row level security;

create trigger check_quota after insert or update on private.idempotency_keys
  for each row when (private.is_user()) execute function private.check_row_quota('idempotency_keys', 'idempotency_bytes');

create function private.claim_key(p_key text, p_organization_id uuid, p_fingerprint text) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_kept jsonb;
begin
  -- Of two at once the second waits here until the first has committed or failed.
  insert into private.idempotency_keys as k (key, organization_id, fingerprint)
  values (p_key, p_organization_id, p_fingerprint)
  on conflict (user_id, key) do update
    set organization_id = excluded.organization_id, fingerprint = excluded.fingerprint, reply = null,
        created_at = excluded.created_at
    where k.created_at < private.kept_from('idempotency_keys');
  if found then
    return null;
  end if;
  -- Of another organization only that the key is taken: the caller may not belong to it any more.
  select case when k.organization_id = p_organization_id
           then jsonb_build_object('fingerprint', k.fingerprint, 'integration', k.reply)
           else '{"fingerprint": "", "integration": null}' end into v_kept
    from private.idempotency_keys k
   where k.user_id = auth.uid() and k.key = p_key;
  return v_kept;
end
$$;
comment on function private.claim_key is
  'Null when the key is free or its time is over, and now the caller''s; else what it was answered with and for which request.';

revoke all on private.idempotency_keys from public, anon, authenticated, service_role;
revoke execute on function private.claim_key from public, anon, authenticated, service_role;
