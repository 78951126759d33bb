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
  source text not null default 'database' check (source in ('database', 'request')),
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
comment on column public.audit_log.source is
  'database: a trigger saw it happen. request (remote.…): what somebody said they were about to do at the other side, which nothing here can prove.';
comment on column public.audit_log.request_id is 'The X-Request-Id of the request that did it.';
create index audit_log_organization on public.audit_log (organization_id, created_at desc, id desc);
create index audit_log_row on public.audit_log (row_id, created_at desc);
create index audit_log_created on public.audit_log using brin (created_at);

alter table public.audit_log enable row level security;
create policy "Admins read the audit log" on public.audit_log
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));

create function private.guard_audit_log() returns trigger
language plpgsql set search_path = ''
as $$
begin
  if tg_op = 'DELETE' then
    if old.created_at < private.kept_from('audit_log') or current_setting('app.purging_audit_log', true) = 'on' then
      return old;
    end if;
  end if;
  raise exception 'The audit log can only be added to.' using errcode = '42501';
end
$$;
comment on function private.guard_audit_log is 'Refuses every update and truncate, and deleting what is younger than the retention but by purge_audit_log.';
create trigger guard_rows before update or delete on public.audit_log
  for each row execute function private.guard_audit_log();
create trigger guard_table before truncate on public.audit_log
  for each statement execute function private.guard_audit_log();

create function private.purge_audit_log(p_organization_id uuid, p_before timestamptz, p_why text, p_limit integer default 100000)
returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_purged integer;
begin
  if length(btrim(p_why)) < 10 then
    raise exception 'p_why is a sentence that says why; it is kept.' using errcode = '22023';
  end if;
  perform set_config('app.purging_audit_log', 'on', true);
  delete from public.audit_log
   where ctid = any (array(
     select a.ctid from public.audit_log a where a.organization_id = p_organization_id and a.created_at < p_before limit p_limit));
  get diagnostics v_purged = row_count;
  perform set_config('app.purging_audit_log', '', true);
  insert into public.audit_log (organization_id, table_name, row_id, action, database_role, changed)
  values (
    p_organization_id, 'audit_log', p_organization_id, 'delete', session_user,
    jsonb_build_object(
      'rows', jsonb_build_object('old', v_purged, 'new', 0), 'before', jsonb_build_object('old', null, 'new', p_before),
      'why', jsonb_build_object('old', null, 'new', left(p_why, 2000))));
  return v_purged;
end
$$;
comment on function private.purge_audit_log is
  'For the operator, as the owner of the database: deletes an organization''s rows before a moment, up to p_limit a call, and leaves one '
  'that says how many and why. How many it deleted.';

revoke all on public.audit_log from public, anon, authenticated, service_role;
revoke all on sequence public.audit_log_id_seq from public, anon, authenticated, service_role;
revoke execute on function private.guard_audit_log, private.purge_audit_log from public, anon, authenticated, service_role;
