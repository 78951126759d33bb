-- The keys of the vault: where they may be kept, which of them are in use, and sealing anew under another.

create function public.read_integration_keys() returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  if to_regclass('vault.decrypted_secrets') is null then
    return null;
  end if;
  return (select s.decrypted_secret from vault.decrypted_secrets s where s.name = 'integration_keys');
end
$$;
comment on function public.read_integration_keys is
  'The key ring, where it is kept in Supabase Vault as the secret integration_keys; null where it is not.';

-- Which key a row is sealed with is the text before the dot. Ids have at most 32 characters; junk may have any number.
create index device_integrations_key on public.device_integrations (left(split_part(api_key_encrypted, '.', 1), 33), id)
  where api_key_encrypted is not null;

create function public.count_sealed() returns table (key_id text, integrations bigint)
language sql stable set search_path = ''
as $$
  -- What has no key id was never sealed: not a character of it is shown.
  select case when s.sealed ~ '^[A-Za-z0-9_-]{1,32}[.]' then split_part(s.sealed, '.', 1) else '' end, count(*)
    from (
      select i.api_key_encrypted as sealed from public.device_integrations i where i.api_key_encrypted is not null
      union all
      select p.sealed from public.device_provisionings p where p.sealed is not null
    ) s
   group by 1
   order by 1
$$;
comment on function public.count_sealed is
  'How many integrations and device credentials are sealed with each key; an empty key_id for what is not in the form of sealed text.';

create function public.read_stale_seals(p_key_id text, p_after uuid, p_limit integer)
returns table (id uuid, organization_id uuid, integration_type text, name text, api_key_encrypted text)
language sql stable set search_path = ''
as $$
  -- From each key in use to the next, by the indexes: what differs from one value can't be looked up, and mostly nothing does.
  with recursive keys as (
    select '' as key_id
    union all
    select least(
             (select min(left(split_part(i.api_key_encrypted, '.', 1), 33)) from public.device_integrations i
               where i.api_key_encrypted is not null and left(split_part(i.api_key_encrypted, '.', 1), 33) > k.key_id),
             (select min(left(split_part(p.sealed, '.', 1), 33)) from public.device_provisionings p
               where p.sealed is not null and left(split_part(p.sealed, '.', 1), 33) > k.key_id))
      from keys k
     where k.key_id is not null
  )
  select s.*
    from keys k
    cross join lateral (
      (select i.id, i.organization_id, i.integration_type, i.name, i.api_key_encrypted from public.device_integrations i
        where i.api_key_encrypted is not null
          and left(split_part(i.api_key_encrypted, '.', 1), 33) = k.key_id and i.id > p_after
        order by i.id
        limit p_limit)
      union all
      (select p.id, p.organization_id, 'device_credentials', '', p.sealed from public.device_provisionings p
        where p.sealed is not null and left(split_part(p.sealed, '.', 1), 33) = k.key_id and p.id > p_after
        order by p.id
        limit p_limit)
    ) s
   where k.key_id <> p_key_id
   order by s.id
   limit p_limit
$$;
comment on function public.read_stale_seals is
  'The next of what is sealed, after p_after, with another key than p_key_id, by id; with what each seal is bound to.';

create function public.replace_seals(p_seals jsonb) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_credentials integer;
  v_replaced integer;
begin
  update public.device_provisionings p
     set sealed = s.sealed
    from jsonb_to_recordset(p_seals) as s(id uuid, was text, sealed text)
   where p.id = s.id and p.sealed = s.was;
  get diagnostics v_credentials = row_count;
  perform set_config('app.resealing', 'on', true);
  update public.device_integrations i
     set api_key_encrypted = s.sealed
    from jsonb_to_recordset(p_seals) as s(id uuid, was text, sealed text)
   where i.id = s.id
     and i.api_key_encrypted = s.was
     and i.id = any (array(
           select l.id from public.device_integrations l
             join jsonb_to_recordset(p_seals) as r(id uuid, was text) on r.id = l.id and r.was = l.api_key_encrypted
            order by l.id
            for update of l skip locked));
  get diagnostics v_replaced = row_count;
  perform set_config('app.resealing', 'off', true);
  return v_replaced + v_credentials;
end
$$;
comment on function public.replace_seals is
  'Writes the same secrets sealed anew, [{id, was, sealed}]. What was changed or is being changed meanwhile stays as it is. Not a change to anyone else.';

create function public.explain_unopened(p_failures jsonb) returns integer
language sql volatile set search_path = ''
as $$
  with told as (
    update public.device_integrations i
       set status = case when i.status = 'inactive' then i.status else 'error' end,
           error_message = left(f.error, 2000), sync_status = 'failed'
      from jsonb_to_recordset(p_failures) as f(id uuid, was text, error text)
     where i.id = f.id and i.api_key_encrypted = f.was and i.error_message is distinct from left(f.error, 2000)
    returning i.id, i.organization_id, i.status, i.error_message
  ),
  woken as (
    -- A parked session has to see for itself, and again until the credentials open: only it takes the error away.
    update public.integration_schedules s
       set due_at = now()
      from told t
     where s.integration_id = t.id and s.organization_id = t.organization_id and s.due_at = 'infinity' and t.status <> 'inactive'
  ),
  recorded as (
    insert into public.integration_activity (organization_id, integration_id, kind, level, message)
    select t.organization_id, t.id, 'credentials.unopened', 'error', t.error_message from told t
    returning 1
  )
  select count(*)::integer from recorded
$$;
comment on function public.explain_unopened is
  'Shows status error with the reason on integrations whose credentials do not open, [{id, was, error}]; how many did not say so yet.';

revoke execute on function public.read_integration_keys, public.count_sealed, public.read_stale_seals,
  public.replace_seals, public.explain_unopened from public, anon, authenticated, service_role;
