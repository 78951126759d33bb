-- What a change was: every field that differs, old and new, and never a secret.

create function private.mask_json(p_name text, p_value jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  if jsonb_typeof(p_value) in ('string', 'object', 'array')
     and (p_name ~* '(passw|passphrase|pwd|secret|token|key|credential|signature|cookie|bearer|jwt|authorization)'
          or jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~* '^(bearer|basic|digest|token)\s') then
    return '"***"';
  end if;
  -- The number or address of a person, whom the log would outlive: enough of it to see that it is another.
  if p_name = 'to' and jsonb_typeof(p_value) = 'string' then
    return to_jsonb('***' || right(p_value #>> '{}', 4));
  end if;
  return case jsonb_typeof(p_value)
    when 'object' then (
      select coalesce(jsonb_object_agg(e.key, private.mask_json(e.key, e.value)), '{}') from jsonb_each(p_value) e)
    when 'array' then (
      select coalesce(jsonb_agg(private.mask_json('', e.value) order by e.ordinality), '[]')
        from jsonb_array_elements(p_value) with ordinality e)
    when 'string' then to_jsonb(left(regexp_replace(p_value #>> '{}', '://[^/@\s]+@', '://***@', 'g'), 2000))
    else p_value
  end;
end
$$;
comment on function private.mask_json is
  'The value without what its name or form says is a secret, for settings written past the API may hold one where it does not belong, and without whom people are told at.';

create function private.mask_field(p_name text, p_value jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select case when private.is_portable(p_value, 1048576) then private.mask_json(p_name, p_value) else '"(too large to show)"' end
$$;
comment on function private.mask_field is
  'As mask_json, of any value there may be: what came past the checks, with levels that no stack has room for, can be changed and deleted.';

create function private.flatten_row(p_row jsonb, p_columns text[]) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(f.name, f.value), '{}')
    from unnest(p_columns) c
    cross join lateral (
      select c as name, p_row -> c as value
       where jsonb_typeof(p_row -> c) <> 'object'
      union all
      select c || '.' || e.key, e.value
        from jsonb_each(case when jsonb_typeof(p_row -> c) = 'object' then p_row -> c end) e
    ) f
   where f.value <> 'null'
$$;
comment on function private.flatten_row is 'The columns that are set, those that hold an object field by field, as settings.port.';

create function private.compare_rows(p_old jsonb, p_new jsonb, p_columns text[]) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(name, jsonb_build_object(
           'old', private.mask_field(name, o.value), 'new', private.mask_field(name, n.value))), '{}')
    from jsonb_each(private.flatten_row(p_old, p_columns)) o(name, value)
    full join jsonb_each(private.flatten_row(p_new, p_columns)) n(name, value) using (name)
   where o.value is distinct from n.value
$$;
comment on function private.compare_rows is 'Old and new value of every field that differs.';

create function private.compare_secrets(p_old jsonb, p_new jsonb) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  v_old jsonb := coalesce(p_old -> 'secret_names', '[]');
  v_new jsonb := coalesce(p_new -> 'secret_names', '[]');
  v_named jsonb := nullif(current_setting('audit.changed_secrets', true), '');
  v_added text[]; v_removed text[]; v_kept text[]; v_changed text[];
begin
  if v_old = v_new and coalesce(p_old -> 'seal_count', '0') = coalesce(p_new -> 'seal_count', '0') then
    return '{}';
  end if;
  v_added := array(select n from jsonb_array_elements_text(v_new) n where not v_old ? n order by n);
  v_removed := array(select n from jsonb_array_elements_text(v_old) n where not v_new ? n order by n);
  v_kept := array(select n from jsonb_array_elements_text(v_new) n where v_old ? n order by n);
  v_changed := array(select n from unnest(v_kept) n where v_named ? n);
  -- Which of them changed can't be told from here. A caller who doesn't say, or says none did, changed any of them.
  if v_named is null or cardinality(v_added || v_removed || v_changed) = 0 then
    v_changed := v_kept;
  end if;
  return jsonb_build_object('secrets', jsonb_build_object(
    'added', to_jsonb(v_added), 'removed', to_jsonb(v_removed), 'changed', to_jsonb(v_changed)));
end
$$;
comment on function private.compare_secrets is 'The names of the secrets that were added, removed or changed; never a value.';

create function private.shorten_changes(p_changed jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select case
    when pg_column_size(p_changed) <= 8192 then p_changed
    else (
      select coalesce(jsonb_object_agg(e.key, e.value) filter (where e.bytes <= 8192), '{}')
             || jsonb_build_object('left out', jsonb_build_object('fields', count(*) filter (where e.bytes > 8192)))
        from (
          select j.key, j.value, sum(octet_length(j.key) + pg_column_size(j.value)) over (order by pg_column_size(j.value), j.key) as bytes
            from jsonb_each(p_changed) j) e)
  end
$$;
comment on function private.shorten_changes is 'Of a large change the small fields, up to 8 KB, and how many were left out: nobody fills the log.';

create function private.count_audited(p_organization_id uuid) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_place text := 'audit.d' || translate(p_organization_id::text, '-', '');
  v_count integer := coalesce(nullif(current_setting(v_place, true), ''), '0')::integer + 1;
begin
  perform set_config(v_place, v_count::text, true);
  return v_count;
end
$$;
comment on function private.count_audited is 'The how manieth device of the organization it is in this statement.';

create function private.record_rest() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_place text;
  v_count integer;
begin
  for v_organization_id in select private.org_ids('viewer') loop
    v_place := 'audit.d' || translate(v_organization_id::text, '-', '');
    v_count := coalesce(nullif(current_setting(v_place, true), ''), '0')::integer;
    if v_count > 100 then
      perform private.record_entry(
        v_organization_id, tg_table_name, v_organization_id, lower(tg_op),
        jsonb_build_object('more rows', jsonb_build_object('old', null, 'new', v_count - 100)));
    end if;
    perform set_config(v_place, '', true);
  end loop;
  return null;
end
$$;
comment on function private.record_rest is 'Of more than a hundred devices in one statement the first hundred are recorded one by one, and here how many more.';

create function private.record_entry(
  p_organization_id uuid, p_table_name text, p_row_id uuid, p_action text, p_changed jsonb, p_role text default null,
  p_source text default 'database'
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_changed jsonb := private.shorten_changes(p_changed);
begin
  perform private.charge('audit', p_organization_id, 1 + pg_column_size(v_changed) / 1024);
  insert into public.audit_log
    (organization_id, table_name, row_id, action, actor_id, actor_role, database_role, changed, source, request_id)
  values (
    p_organization_id, p_table_name, p_row_id, p_action, auth.uid(),
    coalesce(p_role, private.find_role(p_organization_id, auth.uid())),
    coalesce(nullif(current_setting('role', true), 'none'), session_user), v_changed, p_source, private.read_request_id());
end
$$;
comment on function private.record_entry is 'Writes one audit row; a user has so many kilobytes of them a minute, and is refused the change beyond.';

create function private.record_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_organization_id uuid := coalesce(v_row ->> 'organization_id', v_row ->> 'id');
  v_changed jsonb := private.compare_rows(v_old, v_new, tg_argv);
  v_role text;
begin
  -- That it ended is in the log; not each row that goes with it.
  if tg_table_name <> 'organizations'
     and exists (select from private.ended_organizations e where e.organization_id = v_organization_id) then
    return null;
  end if;
  if tg_table_name = 'device_integrations' then
    v_changed := v_changed || private.compare_secrets(v_old, v_new);
  end if;
  if tg_table_name = 'organization_members' and (v_old ->> 'user_id')::uuid = auth.uid() then
    v_role := v_old ->> 'role';
  end if;
  if v_changed <> '{}' and (tg_table_name <> 'devices' or private.count_audited(v_organization_id) <= 100) then
    perform private.record_entry(
      v_organization_id, tg_table_name, coalesce(v_row ->> 'id', v_row ->> 'user_id')::uuid, lower(tg_op), v_changed, v_role);
  end if;
  return null;
end
$$;
comment on function private.record_change is 'Writes the audit row of a change; its arguments are the columns that are looked at.';

revoke execute on function private.mask_json, private.mask_field, private.flatten_row, private.compare_rows, private.compare_secrets,
  private.shorten_changes, private.count_audited, private.record_rest, private.record_entry, private.record_change from public, anon, authenticated, service_role;
