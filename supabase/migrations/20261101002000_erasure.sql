-- What goes with an organization: at once for everybody who could see it, and row by row in batches, however many there are.

create table private.ended_organizations (
  organization_id uuid primary key,
  ended_at timestamptz not null default now(),
  is_begun boolean not null default false
);
comment on table private.ended_organizations is
  'Organizations that are over, and of which maintenance has not erased everything yet. The audit log and spent ids stay for their time.';
comment on column private.ended_organizations.is_begun is 'Whether maintenance has begun to erase it.';
create index ended_organizations_line on private.ended_organizations (ended_at);
alter table private.ended_organizations enable row level security;

create function private.end_organization(p_organization_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- Against everything that is being added to it: that is there before, or finds that it has ended.
  perform from public.organizations o where o.id = p_organization_id for update;
  insert into private.ended_organizations (organization_id) values (p_organization_id) on conflict do nothing;
  if not found then
    return;
  end if;
  -- One row of the audit log stands for all that goes.
  perform private.record_entry(
    p_organization_id, 'organizations', p_organization_id, 'update', '{"ended": {"old": false, "new": true}}');
  update public.device_integrations set status = 'inactive'
   where organization_id = p_organization_id and status <> 'inactive';
  -- A platform may keep its own.
  if private.has_people() then
    delete from public.organization_invitations where organization_id = p_organization_id;
    delete from public.organization_members where organization_id = p_organization_id;
  end if;
end
$$;
comment on function private.end_organization is
  'Nobody belongs to it, nothing is sent or received for it any more, and maintenance erases it. For a platform with members of its own: '
  'call it when one ends there.';

create function private.erase_some(p_organization_id uuid, p_limit integer) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_left integer := p_limit;
  v_rows integer := 0;
  v_some integer;
  v_table text;
begin
  -- Each partition by itself and by place: by key, Postgres may read all messages of the organization for each that goes.
  for v_table in
    select h.inhrelid::regclass::text from pg_catalog.pg_inherits h where h.inhparent = 'public.device_messages'::regclass order by h.inhrelid
  loop
    exit when v_left <= 0;
    execute format(
      'delete from %1$s where ctid = any (array(select t.ctid from %1$s t where t.organization_id = $1 limit $2))', v_table)
      using p_organization_id, v_left;
    get diagnostics v_some = row_count;
    v_rows := v_rows + v_some;
    v_left := v_left - v_some;
  end loop;
  -- Devices before integrations: a deleted integration would first let go of each of them.
  foreach v_table in array array[
    'public.webhook_deliveries', 'public.integration_activity', 'public.integration_metrics', 'public.integration_metric_rollups',
    'private.metric_tallies', 'public.firmware_updates',
    'public.device_commands', 'public.integration_jobs', 'public.devices', 'public.device_integrations'
  ] loop
    -- One large table a call: what was just deleted would be looked through again for each row that it hung on.
    exit when v_left <= 0 or v_rows > 100;
    execute format(
      'delete from %1$s where ctid = any (array(select t.ctid from %1$s t where t.organization_id = $1 limit $2))', v_table)
      -- An integration takes along what hangs on it.
      using p_organization_id, case v_table when 'public.device_integrations' then least(v_left, 200) else v_left end;
    get diagnostics v_rows = row_count;
    v_left := v_left - v_rows;
  end loop;
  return p_limit - v_left;
end
$$;
comment on function private.erase_some is 'Erases up to so many rows of an organization; how many. A hundred or less, and fewer than p_limit: then there are no more.';

create function private.begin_erasure(p_organization_id uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update private.ended_organizations set is_begun = true where organization_id = p_organization_id and not is_begun;
  if found and exists (select from public.devices d where d.organization_id = p_organization_id offset 1000) then
    -- Of a table that nobody has counted yet, each deleted device would look through all rows of the organization for its own.
    analyze public.device_commands, public.device_links, public.device_conflicts, public.device_provisionings, public.firmware_updates;
  end if;
end
$$;
comment on function private.begin_erasure is 'Before the first rows of an organization are erased: lets Postgres count what hangs on devices, once.';

create function public.erase_organizations(p_limit integer default 5000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_organization_id uuid;
  v_some integer;
  v_is_over boolean;
  v_rows integer := 0;
  v_erased integer := 0;
begin
  for v_organization_id in
    select e.organization_id from private.ended_organizations e order by e.ended_at limit 100 for update skip locked
  loop
    exit when v_rows >= p_limit;
    begin
      perform private.begin_erasure(v_organization_id);
      v_some := private.erase_some(v_organization_id, p_limit - v_rows);
      -- So few that there is nothing behind them; else the next call goes on.
      v_is_over := v_some <= 100 and v_rows + v_some < p_limit;
      if v_is_over then
        delete from public.organizations where id = v_organization_id;
        delete from private.quotas where organization_id = v_organization_id;
        delete from private.budgets where organization_id = v_organization_id;
        delete from private.ended_organizations where organization_id = v_organization_id;
      end if;
    exception when lock_not_available then
      -- Somebody holds what it had: it goes with a later call, and the others with this one.
      continue;
    end;
    v_rows := v_rows + v_some;
    v_erased := v_erased + v_is_over::integer;
    exit when v_some > 100;
  end loop;
  return jsonb_build_object('organizations_erased', v_erased, 'organization_rows', v_rows);
end
$$;
comment on function public.erase_organizations is 'Maintenance: erases what organizations that have ended had, so many rows a call, and then them.';

create function private.erase_organization() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into private.ended_organizations (organization_id) values (old.id) on conflict do nothing;
  -- Most are small; what is more than this goes with maintenance.
  perform private.erase_some(old.id, 5000);
  return null;
end
$$;
comment on function private.erase_organization is 'Takes along what has no foreign key to an organization that was deleted at once.';
create trigger erase_organization after delete on public.organizations
  for each row execute function private.erase_organization();

revoke all on private.ended_organizations from public, anon, authenticated, service_role;
revoke execute on function private.end_organization, private.erase_some, private.begin_erasure, public.erase_organizations, private.erase_organization
  from public, anon, authenticated, service_role;
