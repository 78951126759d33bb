-- Who changed what, written by triggers, so that changes made past the API are in it too.
--
-- Nobody changes it: no role has a grant to, and a trigger refuses even the owner of the table. A row may be deleted once
-- it is older than the retention, and prune_audit_log does. Rows outlive their organization and their users on purpose
-- (hence no foreign keys): that an organization was deleted is itself a row; the retention takes it last.

create table public.audit_log (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  table_name text not null,
  row_id uuid not null,
  action text not null check (action in ('insert', 'update', 'delete')),
  actor_id uuid,
  actor_role text,
  database_role text not null,
  changed jsonb not null,
  request_id text,
  created_at timestamptz not null default clock_timestamp()
);
comment on table public.audit_log is 'Every change made to organizations, members, integrations and, by people, to devices, rollouts and what the other side holds. Never holds a secret.';
comment on column public.audit_log.row_id is 'The id of the row; of a member the user''s, of what is at the other side (remote.…) the integration''s.';
comment on column public.audit_log.actor_id is 'The user; null for the service.';
comment on column public.audit_log.actor_role is 'The user''s role in the organization when it happened.';
comment on column public.audit_log.database_role is 'authenticated for a user, service_role or a login for anything else.';
comment on column public.audit_log.changed is
  '{"name": {"old", "new"}, "settings.port": {"old", "new"}, "secrets": {"added", "removed", "changed"}}; of secrets the names only.';
comment on column public.audit_log.request_id is 'The X-Request-Id of the request that did it.';
create index audit_log_organization on public.audit_log (organization_id, created_at desc, id desc);
create index audit_log_row on public.audit_log (row_id, created_at desc);
create index audit_log_created on public.audit_log using brin (created_at);

alter table public.audit_log enable row level security;
revoke all on public.audit_log from anon, authenticated, service_role;
grant select on public.audit_log to authenticated, service_role;

create policy "Admins read the audit log" on public.audit_log
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));

create function private.audit_retention() returns interval
language sql immutable set search_path = ''
as $$ select interval '1 year' $$;
comment on function private.audit_retention is 'How long audit rows are kept, and out of reach.';

create function private.guard_audit_log() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if old.created_at < now() - private.audit_retention() then
      return old;
    end if;
  end if;
  raise exception 'The audit log can only be added to.' using errcode = '42501';
end
$$;
comment on function private.guard_audit_log is 'Refuses every update and truncate, and deleting what is younger than the retention.';
create trigger guard_rows before update or delete on public.audit_log
  for each row execute function private.guard_audit_log();
create trigger guard_table before truncate on public.audit_log
  for each statement execute function private.guard_audit_log();

create function private.mask_json(p_name text, p_value jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  if jsonb_typeof(p_value) in ('string', 'object', 'array')
     and (p_name ~* '(passw|passphrase|pwd|secret|token|key|credential|signature|cookie|bearer|jwt|authorization)'
          or p_value #>> '{}' ~* '^(bearer|basic|digest|token)\s') then
    return '"***"';
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
  'The value without what its name or form says is a secret: settings written past the API may hold one where it does not belong.';

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
           'old', private.mask_json(name, o.value), 'new', private.mask_json(name, n.value))), '{}')
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
  if v_old = v_new and (p_old -> 'api_key_encrypted') is not distinct from (p_new -> 'api_key_encrypted') then
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

create function private.find_role(p_organization_id uuid, p_user_id uuid) returns text
language sql stable set search_path = ''
as $$
  select m.role from public.organization_members m where m.user_id = p_user_id and m.organization_id = p_organization_id
$$;

create function private.read_request_id() returns text
language sql stable set search_path = ''
as $$
  select substring(
    nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-request-id' from '^[A-Za-z0-9._:-]{1,128}$')
$$;
comment on function private.read_request_id is 'The X-Request-Id of this request, as PostgREST hands it on; null outside of one or in another form.';

create function private.record_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_organization_id uuid := coalesce(v_row ->> 'organization_id', v_row ->> 'id');
  v_changed jsonb := private.compare_rows(v_old, v_new, tg_argv);
  v_role text := private.find_role(v_organization_id, auth.uid());
begin
  if tg_table_name = 'device_integrations' then
    v_changed := v_changed || private.compare_secrets(v_old, v_new);
  end if;
  if tg_table_name = 'organization_members' and (v_old ->> 'user_id')::uuid = auth.uid() then
    v_role := v_old ->> 'role';
  end if;
  if v_changed <> '{}' then
    insert into public.audit_log
      (organization_id, table_name, row_id, action, actor_id, actor_role, database_role, changed, request_id)
    values (
      v_organization_id, tg_table_name, coalesce(v_row ->> 'id', v_row ->> 'user_id')::uuid, lower(tg_op), auth.uid(), v_role,
      coalesce(nullif(current_setting('role', true), 'none'), session_user), v_changed, private.read_request_id());
  end if;
  return null;
end
$$;
comment on function private.record_change is 'Writes the audit row of a change; its arguments are the columns that are looked at.';

revoke execute on function private.audit_retention, private.guard_audit_log, private.mask_json, private.flatten_row,
  private.compare_rows, private.compare_secrets, private.find_role, private.read_request_id, private.record_change from public;

create trigger audit_rows after insert or delete on public.organizations
  for each row execute function private.record_change('name');
create trigger audit_changes after update of name on public.organizations
  for each row execute function private.record_change('name');

create trigger audit_rows after insert or delete on public.organization_members
  for each row execute function private.record_change('user_id', 'role');
create trigger audit_changes after update of role on public.organization_members
  for each row execute function private.record_change('role');

create trigger audit_rows after insert or delete on public.device_integrations
  for each row execute function private.record_change('name', 'integration_type', 'status', 'settings');
-- What the scheduler reports is not a change anybody made: active and error swapped, the same secrets under a new key.
create trigger audit_changes
  after update of organization_id, name, integration_type, status, settings, api_key_encrypted, secret_names
  on public.device_integrations for each row
  when (
    current_setting('app.resealing', true) is distinct from 'on'
    and (
      (old.organization_id, old.name, old.integration_type, old.settings, old.api_key_encrypted, old.secret_names,
       old.status = 'inactive')
      is distinct from
      (new.organization_id, new.name, new.integration_type, new.settings, new.api_key_encrypted, new.secret_names,
       new.status = 'inactive')
      or (old.status is distinct from new.status and auth.uid() is not null)
    )
  )
  execute function private.record_change('organization_id', 'name', 'integration_type', 'status', 'settings');

-- Devices come and speak by themselves all the time: only what a person does to them is recorded.
create trigger audit_rows after insert or delete on public.devices
  for each row when (auth.uid() is not null)
  execute function private.record_change('name', 'external_id', 'integration_id', 'device_type', 'metadata');
create trigger audit_changes after update of name, external_id, device_type, metadata on public.devices
  for each row when (auth.uid() is not null)
  execute function private.record_change('name', 'external_id', 'device_type', 'metadata');

create function public.prune_audit_log(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_pruned integer;
begin
  delete from public.audit_log
   where ctid = any (array(
     select a.ctid from public.audit_log a where a.created_at < now() - private.audit_retention() limit p_limit));
  get diagnostics v_pruned = row_count;
  return jsonb_build_object('audit_rows', v_pruned);
end
$$;
comment on function public.prune_audit_log is 'Maintenance: deletes audit rows that are past the retention, in batches.';
revoke execute on function public.prune_audit_log from public, anon, authenticated;
grant execute on function public.prune_audit_log to service_role;
