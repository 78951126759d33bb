-- The sealed secrets, in a table of the service's: nobody else reads a character of them, but admins through sealed_config.
--
-- Two sealed texts a row. What is sent somewhere is bound to where, what never leaves is not; both to their row and to its
-- counter, which rises with every change: a text that is moved to another row, put back later or pointed elsewhere does not open.

create function private.read_key_id(p_sent text, p_kept text) returns text
language sql immutable parallel safe set search_path = ''
as $$
  select case
    when coalesce(p_sent, p_kept) ~ '^[A-Za-z0-9_-]{1,32}[.]' then split_part(coalesce(p_sent, p_kept), '.', 1)
    when coalesce(p_sent, p_kept) is not null then ''
  end
$$;
comment on function private.read_key_id is
  'The id of the key that both texts are sealed with. Empty for what is not in the form of sealed text: of that not a character is shown.';

create table private.integration_secrets (
  integration_id uuid primary key,
  organization_id uuid not null,
  sealed_sent text check (octet_length(sealed_sent) <= 262144),
  sealed_kept text check (octet_length(sealed_kept) <= 262144),
  seal_count integer not null default 1,
  key_id text generated always as (private.read_key_id(sealed_sent, sealed_kept)) stored,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 80);
comment on table private.integration_secrets is
  'The secrets of each integration, sealed: <key id>.<base64url(nonce and ciphertext)>. A row stays when its secrets go, for its counter.';
comment on column private.integration_secrets.sealed_sent is 'Secrets that are sent to the other side, bound to its scheme, host and port.';
comment on column private.integration_secrets.sealed_kept is 'Secrets that never leave: what signs, and what proves who sends to us.';
comment on column private.integration_secrets.seal_count is 'The counter both are sealed for; raised by a trigger with every change.';
comment on column private.integration_secrets.key_id is 'Which key both are sealed with; null where there is nothing.';
create index integration_secrets_key on private.integration_secrets (key_id, integration_id) where key_id is not null;
create index integration_secrets_organization on private.integration_secrets (organization_id, integration_id);

alter table private.integration_secrets enable row level security;

create function private.refuse_unsealed() returns trigger
language plpgsql set search_path = ''
as $$
begin
  -- Not a check constraint: its error, and so the log, would quote the row with what was to be kept secret.
  raise exception 'Secrets are taken only as the integrations function has sealed them, all with one key; send it the config instead.'
    using errcode = '22023';
end
$$;
comment on function private.refuse_unsealed is 'Keeps a user who writes past the API from storing credentials in clear.';
create trigger refuse_unsealed before insert or update on private.integration_secrets
  for each row
  when (
    private.is_user()
    and (new.sealed_sent !~ '^[A-Za-z0-9_-]{1,32}[.][A-Za-z0-9_-]{40,}$'
         or new.sealed_kept !~ '^[A-Za-z0-9_-]{1,32}[.][A-Za-z0-9_-]{40,}$'
         or split_part(new.sealed_sent, '.', 1) <> split_part(new.sealed_kept, '.', 1))
  )
  execute function private.refuse_unsealed();

create function private.raise_seal_count() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.seal_count := old.seal_count
    + ((old.sealed_sent, old.sealed_kept) is distinct from (new.sealed_sent, new.sealed_kept)
       and current_setting('app.resealing', true) is distinct from 'on')::integer;
  return new;
end
$$;
comment on function private.raise_seal_count is
  'Other text, another counter, whoever writes it: what was sealed before does not open again. The same secrets under another key keep it.';
create trigger raise_seal_count before update on private.integration_secrets
  for each row execute function private.raise_seal_count();

create function private.show_seal() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.device_integrations i
     set api_key_encrypted = new.key_id, seal_count = new.seal_count
   where i.id = new.integration_id and i.organization_id = new.organization_id
     and (i.api_key_encrypted, i.seal_count) is distinct from (new.key_id, new.seal_count);
  return null;
end
$$;
comment on function private.show_seal is 'The integration shows which key its secrets are sealed with, and counts with them.';
create trigger show_seal after insert or update on private.integration_secrets
  for each row execute function private.show_seal();

create trigger check_quota after insert or update on private.integration_secrets
  for each row when (private.is_user()) execute function private.check_row_quota('secret_bytes');

create function private.write_seals(p_organization_id uuid, p_integration_id uuid, p_sealed jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_count integer;
begin
  insert into private.integration_secrets as s (integration_id, organization_id, sealed_sent, sealed_kept)
  values (p_integration_id, p_organization_id, p_sealed ->> 'sent', p_sealed ->> 'kept')
  on conflict (integration_id) do update set sealed_sent = excluded.sealed_sent, sealed_kept = excluded.sealed_kept
    where s.organization_id = excluded.organization_id
  returning s.seal_count into v_count;
  if v_count is distinct from (p_sealed ->> 'count')::integer then
    raise exception 'Somebody else has changed the secrets of this integration meanwhile; seal them for the counter as it is now.'
      using errcode = 'PT412';
  end if;
end
$$;
comment on function private.write_seals is
  '{sent, kept, count}: both sealed texts, null for none, and the counter they are sealed for: one more than there was. PT412 where it is not.';

create view private.sealed_integrations as
  select i.id, i.organization_id, i.integration_type, i.name, i.settings, s.sealed_sent, s.sealed_kept,
         coalesce(s.seal_count, 0) as seal_count
    from public.device_integrations i
    left join private.integration_secrets s on s.integration_id = i.id and s.organization_id = i.organization_id;
comment on view private.sealed_integrations is 'What a worker needs to use an integration: its config, and its secrets still sealed.';

create function public.sealed_config(p_integration_id uuid)
returns table (
  id uuid, organization_id uuid, integration_type text, name text, settings jsonb, secret_names text[], sealed_sent text,
  sealed_kept text, seal_count integer, version integer
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
    select s.id, s.organization_id, s.integration_type, s.name, s.settings, i.secret_names, s.sealed_sent, s.sealed_kept,
           s.seal_count, i.version
      from private.sealed_integrations s join public.device_integrations i on i.id = s.id
     where s.id = p_integration_id and s.organization_id = v_organization_id;
end
$$;
comment on function public.sealed_config is
  'For the integrations function, on behalf of an admin: the config with its secrets still sealed, and the counter they are sealed for '
  '(a change is sealed for the next). Nothing for strangers, 42501 below admin.';

revoke all on private.integration_secrets, private.sealed_integrations from public, anon, authenticated, service_role;
revoke execute on function private.read_key_id, private.refuse_unsealed, private.raise_seal_count, private.show_seal,
  private.write_seals, public.sealed_config from public, anon, authenticated, service_role;
