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

create function public.count_sealed() returns table (key_id text, integrations bigint)
language sql stable security definer set search_path = ''
as $$
  select s.key_id, count(*)
    from (
      select i.key_id from private.integration_secrets i where i.key_id is not null
      union all
      select p.key_id from private.provisioning_secrets p
    ) s
   group by 1
   order by 1
$$;
comment on function public.count_sealed is
  'How many integrations and device credentials are sealed with each key; an empty key_id for what is not in the form of sealed text.';

create function public.read_stale_seals(p_key_id text, p_after uuid, p_limit integer)
returns table (
  id uuid, organization_id uuid, integration_type text, name text, settings jsonb, sealed_sent text, sealed_kept text, seal_count integer
)
language sql stable security definer set search_path = ''
as $$
  -- From each key in use to the next, by the indexes: what differs from one value can't be looked up, and mostly nothing does.
  with recursive keys as (
    select least(
             (select min(i.key_id) from private.integration_secrets i where i.key_id is not null),
             (select min(p.key_id) from private.provisioning_secrets p)) as key_id
    union all
    select least(
             (select min(i.key_id) from private.integration_secrets i where i.key_id > k.key_id),
             (select min(p.key_id) from private.provisioning_secrets p where p.key_id > k.key_id))
      from keys k
     where k.key_id is not null
  )
  select s.*
    from keys k
    cross join lateral (
      (select i.id, i.organization_id, i.integration_type, i.name, i.settings, n.sealed_sent, n.sealed_kept, n.seal_count
         from private.integration_secrets n
         join public.device_integrations i on i.id = n.integration_id and i.organization_id = n.organization_id
        where n.key_id = k.key_id and n.integration_id > p_after
        order by n.integration_id
        limit p_limit)
      union all
      (select p.provisioning_id, p.organization_id, 'device_credentials', '', '{}', null, p.sealed, 1
         from private.provisioning_secrets p
        where p.key_id = k.key_id and p.provisioning_id > p_after
        order by p.provisioning_id
        limit p_limit)
    ) s
   where k.key_id <> p_key_id
   order by s.id
   limit p_limit
$$;
comment on function public.read_stale_seals is
  'The next of what is sealed, after p_after, with another key than p_key_id, by id; with what each seal is bound to. A device''s '
  'credentials are of type device_credentials, sealed_kept under their provisioning''s id.';

create function public.replace_seals(p_seals jsonb) returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- Looked up by these: joined alone, all that is sealed might be read.
  v_ids constant uuid[] := array(select (g.value ->> 'id')::uuid from jsonb_array_elements(p_seals) g);
  v_credentials integer;
  v_replaced integer;
begin
  update private.provisioning_secrets p
     set sealed = s.sealed_kept
    from jsonb_to_recordset(p_seals) as s(id uuid, sealed_kept text)
   where p.provisioning_id = s.id and p.provisioning_id = any (v_ids);
  get diagnostics v_credentials = row_count;
  perform set_config('app.resealing', 'on', true);
  update private.integration_secrets n
     set sealed_sent = s.sealed_sent, sealed_kept = s.sealed_kept
    from jsonb_to_recordset(p_seals) as s(id uuid, seal_count integer, sealed_sent text, sealed_kept text)
   where n.integration_id = s.id and n.seal_count = s.seal_count
     and (n.sealed_sent is null) = (s.sealed_sent is null) and (n.sealed_kept is null) = (s.sealed_kept is null)
     and n.integration_id = any (array(
           select l.integration_id from private.integration_secrets l
             join jsonb_to_recordset(p_seals) as r(id uuid, seal_count integer)
               on r.id = l.integration_id and r.seal_count = l.seal_count
             join public.device_integrations i on i.id = l.integration_id and i.id = any (v_ids)
            where l.integration_id = any (v_ids)
            order by l.integration_id
            -- The integration's row too, which is written below: who changes it has that one first, and would be waited for.
            for no key update of i, l skip locked));
  get diagnostics v_replaced = row_count;
  perform set_config('app.resealing', 'off', true);
  return v_replaced + v_credentials;
end
$$;
comment on function public.replace_seals is
  'Writes the same secrets sealed anew for the same counter, [{id, seal_count, sealed_sent, sealed_kept}]. What was changed or is being '
  'changed meanwhile stays as it is. Not a change to anyone else.';

create function public.explain_unopened(p_failures jsonb) returns integer
language sql volatile set search_path = ''
as $$
  with told as (
    update public.device_integrations i
       set status = case when i.status = 'inactive' then i.status else 'error' end,
           error_message = left(f.error, 2000), sync_status = 'failed'
      from jsonb_to_recordset(p_failures) as f(id uuid, seal_count integer, error text)
     where i.id = any (array(select (g.value ->> 'id')::uuid from jsonb_array_elements(p_failures) g))
       and i.id = f.id and i.seal_count = f.seal_count and i.error_message is distinct from left(f.error, 2000)
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
  'Shows status error with the reason on integrations whose credentials do not open, [{id, seal_count, error}]; how many did not say so yet.';

revoke execute on function public.read_integration_keys, public.count_sealed, public.read_stale_seals,
  public.replace_seals, public.explain_unopened from public, anon, authenticated, service_role;
