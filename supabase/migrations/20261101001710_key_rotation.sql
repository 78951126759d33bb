-- Rotating the keys of the vault by themselves, where they are in Supabase Vault: a key is added, later seals, and the one before
-- leaves the ring when nothing is sealed with it any more.

create table private.vault_keys (
  key_id text primary key,
  added_at timestamptz not null,
  promoted_at timestamptz,
  retired_at timestamptz,
  is_made boolean not null
);
comment on table private.vault_keys is 'Every key the ring in Supabase Vault has had, by its id and never more; rows stay, so that no id comes again.';
comment on column private.vault_keys.promoted_at is 'Since when it seals, or when it began to; null where it only ever opened.';
comment on column private.vault_keys.is_made is 'Made by rotate_keys: such a key is promoted by it too. What an operator put there waits for the operator.';
alter table private.vault_keys enable row level security;

create function private.note_keys(p_ids text[], p_now timestamptz) returns void
language sql volatile set search_path = ''
as $$
  insert into private.vault_keys (key_id, added_at, is_made) select k, p_now, false from unnest(p_ids) k on conflict do nothing;
  update private.vault_keys set promoted_at = p_now where key_id = p_ids[1] and promoted_at is null;
$$;
comment on function private.note_keys is 'Notes the ids of the ring as it is, the one that seals first; when it began to is counted from the first look.';

create function private.choose_rotation(p_ids text[], p_days integer, p_now timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
  select case
    -- An hour after it was added, as functions read the ring every minute: all of them can open what it is about to seal.
    when w.key_id is not null then
      case when w.added_at <= p_now - interval '1 hour' then jsonb_build_object('promoted', w.key_id) else '{}' end
    -- Two days after it sealed last, for what idempotency keys remember is sealed too, and kept for a day.
    when o.key_id is not null and k.promoted_at <= p_now - interval '2 days' then jsonb_build_object('retired', o.key_id)
    when k.promoted_at <= p_now - make_interval(days => p_days) then
      jsonb_build_object('wanted', (
        select 'k' || coalesce(max(substr(v.key_id, 2)::bigint), 0) + 1 from private.vault_keys v where v.key_id ~ '^k[0-9]{1,9}$'))
    else '{}'
  end
    from private.vault_keys k
    left join lateral (
      select v.key_id, v.added_at from private.vault_keys v
       where v.key_id = any (p_ids) and v.is_made and v.promoted_at is null order by v.added_at limit 1) w on true
    left join lateral (
      select v.key_id from private.vault_keys v
       where v.key_id = any (p_ids[2:]) and v.promoted_at is not null
         and not exists (select from private.integration_secrets s where s.key_id = v.key_id)
         and not exists (select from private.provisioning_secrets p where p.key_id = v.key_id)
       order by v.promoted_at limit 1) o on true
   where k.key_id = p_ids[1]
$$;
comment on function private.choose_rotation is
  'The one next step, {promoted}, {retired} or {wanted} with a key''s id; {} where nothing is due.';

create function public.rotate_keys(p_days integer, p_entry text default null, p_now timestamptz default now()) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_secret record;
  v_entries text[];
  v_ids text[];
  v_step jsonb;
  v_id text;
begin
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('integration_keys', 0));
  if to_regclass('vault.decrypted_secrets') is not null then
    select s.id, s.decrypted_secret into v_secret from vault.decrypted_secrets s where s.name = 'integration_keys';
  end if;
  if v_secret.decrypted_secret is null then
    return '{}';
  end if;
  v_entries := regexp_split_to_array(btrim(v_secret.decrypted_secret, E' \t\n\r,'), '\s*,\s*');
  v_ids := array(select split_part(e, ':', 1) from unnest(v_entries) with ordinality u(e, n) order by n);
  perform private.note_keys(v_ids, p_now);
  v_step := private.choose_rotation(v_ids, p_days, p_now);
  if v_step ? 'wanted' then
    v_id := v_step ->> 'wanted';
    if p_entry is null or split_part(p_entry, ':', 1) <> v_id then
      return v_step;
    end if;
    insert into private.vault_keys (key_id, added_at, is_made) values (v_id, p_now, true);
    v_entries := v_entries || p_entry;
    v_step := jsonb_build_object('added', v_id);
  elsif v_step ? 'promoted' then
    v_id := v_step ->> 'promoted';
    update private.vault_keys set promoted_at = p_now where key_id = v_id;
    v_entries := v_entries[array_position(v_ids, v_id):array_position(v_ids, v_id)] || array_remove(v_entries, v_entries[array_position(v_ids, v_id)]);
  elsif v_step ? 'retired' then
    v_id := v_step ->> 'retired';
    update private.vault_keys set retired_at = p_now where key_id = v_id;
    v_entries := array_remove(v_entries, v_entries[array_position(v_ids, v_id)]);
  else
    return v_step;
  end if;
  perform vault.update_secret(v_secret.id, array_to_string(v_entries, ','));
  return v_step;
end
$$;
comment on function public.rotate_keys is
  'Maintenance, each minute: one step of a rotation that begins every p_days days, {added}, {promoted} or {retired} with the key''s id. {wanted} asks '
  'for a new key of that id, to be given as p_entry. {} where nothing is due or the ring is not in Supabase Vault. p_now is for looking ahead.';

revoke all on private.vault_keys from public, anon, authenticated, service_role;
revoke execute on function private.note_keys, private.choose_rotation, public.rotate_keys from public, anon, authenticated, service_role;
