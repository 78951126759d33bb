-- How much an organization may have of what people make. This table is the only place that says so; the operator raises a bound
-- for all (organization_id null) or for one: `insert into private.quotas values ('…', 'subscribers', 200)`.

create table private.quotas (
  organization_id uuid,
  bound text not null,
  most bigint not null check (most >= 0),
  unique nulls not distinct (bound, organization_id)
);
comment on table private.quotas is
  'Bounds of what users make, an organization. What the service makes is not held to them, but counts. A bound that has no row here is none.';
comment on column private.quotas.organization_id is 'For which organization; null for all that have no row of their own.';
comment on column private.quotas.bound is 'Of what: as private.count_used counts it.';
alter table private.quotas enable row level security;

insert into private.quotas (bound, most) values
  ('integrations', 1000),
  ('subscribers', 50),
  ('integration_ids', 100000),
  ('settings_bytes', 16777216),
  ('secret_bytes', 16777216),
  ('devices', 100000),
  ('metadata_bytes', 67108864),
  ('pending_commands', 1000),
  ('open_jobs', 100),
  ('jobs', 20000),
  ('rollouts', 2000),
  ('provisionings', 1000),
  ('members', 500),
  ('invitations', 100),
  ('idempotency_keys', 10000),
  ('idempotency_bytes', 67108864);

create function private.read_quota(p_organization_id uuid, p_bound text) returns bigint
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select q.most from private.quotas q
     where q.bound = p_bound and (q.organization_id = p_organization_id or q.organization_id is null)
     order by q.organization_id nulls last
     limit 1);
end
$$;
comment on function private.read_quota is 'How many the organization may have; null for any number.';

create function private.count_devices_of(p_organization_id uuid) returns bigint
language plpgsql stable set search_path = ''
as $$
begin
  return (select coalesce(sum(i.device_count), 0) from public.device_integrations i where i.organization_id = p_organization_id)
    + (select count(*) from public.devices d where d.organization_id = p_organization_id and d.integration_id is null);
end
$$;
comment on function private.count_devices_of is 'The devices of an organization, by what each integration counts and by the index of those without one.';

create function private.count_used(p_organization_id uuid, p_bound text) returns bigint
language plpgsql stable set search_path = ''
as $$
declare
  v_used bigint;
begin
  case p_bound
    when 'integrations' then
      select count(*) into v_used from public.device_integrations i where i.organization_id = p_organization_id;
    when 'subscribers' then
      select count(*) into v_used from public.device_integrations i
       where i.organization_id = p_organization_id and i.status <> 'inactive' and i.settings ? 'events';
    when 'integration_ids' then
      select count(*) into v_used from private.issued_ids i where i.organization_id = p_organization_id;
    when 'settings_bytes' then
      select coalesce(sum(pg_column_size(i.settings) + pg_column_size(i.secret_names)), 0) into v_used
        from public.device_integrations i where i.organization_id = p_organization_id;
    when 'secret_bytes' then
      select coalesce(sum(coalesce(octet_length(s.sealed_sent), 0) + coalesce(octet_length(s.sealed_kept), 0)), 0) into v_used
        from private.integration_secrets s where s.organization_id = p_organization_id;
    when 'devices' then
      v_used := private.count_devices_of(p_organization_id);
    when 'metadata_bytes' then
      select coalesce(sum(octet_length(d.metadata::text)), 0) into v_used
        from public.devices d where d.organization_id = p_organization_id and octet_length(d.metadata::text) > 4096;
    when 'pending_commands' then
      select count(*) into v_used from public.device_commands c
       where c.organization_id = p_organization_id and c.status in ('pending', 'sending');
    when 'open_jobs' then
      select count(*) into v_used from public.integration_jobs j
       where j.organization_id = p_organization_id and j.status in ('pending', 'running') and j.created_by is not null;
    when 'jobs' then
      select count(*) into v_used from public.integration_jobs j where j.organization_id = p_organization_id and j.created_by is not null;
    when 'rollouts' then
      select count(*) into v_used from public.firmware_rollouts r where r.organization_id = p_organization_id;
    when 'provisionings' then
      select count(*) into v_used from public.device_provisionings p
       where p.organization_id = p_organization_id and p.status <> 'done';
    when 'members' then
      -- A platform may keep its own.
      if private.has_people() then
        select count(*) into v_used from public.organization_members m where m.organization_id = p_organization_id;
      end if;
    when 'invitations' then
      if private.has_people() then
        select count(*) into v_used from public.organization_invitations n where n.organization_id = p_organization_id;
      end if;
    when 'idempotency_keys' then
      select count(*) into v_used from private.idempotency_keys k where k.organization_id = p_organization_id;
    when 'idempotency_bytes' then
      select coalesce(sum(pg_column_size(k.reply)), 0) into v_used
        from private.idempotency_keys k where k.organization_id = p_organization_id;
    when 'codecs' then
      select count(*) into v_used from public.codecs c where c.organization_id = p_organization_id;
    when 'codec_bytes' then
      select coalesce(sum(octet_length(c.source) + octet_length(c.fixtures::text)), 0) into v_used
        from public.codecs c where c.organization_id = p_organization_id;
    when 'device_tokens' then
      select count(*) into v_used from public.device_tokens t where t.organization_id = p_organization_id;
  end case;
  return v_used;
end
$$;
comment on function private.count_used is
  'How many an organization has of what a bound is for. settings_bytes and idempotency_bytes are as stored; metadata_bytes leaves out '
  'devices with 4 KB or less, which the bound of devices holds.';

create function private.count_organization(p_organization_id uuid) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_most constant integer := 100;
  v_counted text := coalesce(current_setting('quotas.counted', true), '');
begin
  if private.is_user() and position(p_organization_id::text in v_counted) = 0 then
    if length(v_counted) >= v_most * length(p_organization_id::text) then
      raise exception 'A call changes what % organizations have at most; make one for each, or for a few.', v_most using errcode = '22023';
    end if;
    perform set_config('quotas.counted', v_counted || p_organization_id::text, true);
  end if;
end
$$;
comment on function private.count_organization is
  'Keeps a user''s transaction to the bounds of a hundred organizations: each is a lock, and there are only so many, for everybody together.';

create function private.require_quota(p_organization_id uuid, p_bound text, p_more bigint default 0) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_most bigint := private.read_quota(p_organization_id, p_bound);
begin
  -- Whoever was adding while the organization ended has waited for that, by the foreign key.
  if exists (select from private.ended_organizations e where e.organization_id = p_organization_id) then
    raise exception 'There is no such organization here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if v_most is null then
    return;
  end if;
  perform private.count_organization(p_organization_id);
  -- Until the end of the transaction: of two that add at once the second waits, and then sees what the first has made.
  perform pg_advisory_xact_lock(hashtext('private.quotas ' || p_bound), hashtext(p_organization_id::text));
  if private.count_used(p_organization_id, p_bound) + p_more > v_most then
    raise exception 'An organization may have % % here, and this one has no room for more. Remove what is not needed, or ask the operator of this platform to raise the bound.',
      v_most, replace(p_bound, '_', ' ')
      using errcode = 'PT409', hint = 'quota_exceeded', detail = jsonb_build_object('bound', p_bound, 'most', v_most)::text;
  end if;
end
$$;
comment on function private.require_quota is
  'PT404 where the organization has ended. PT409 quota_exceeded where the organization has more than its bound, or would have with p_more; exact however many ask at once.';

create function private.check_quota() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  for v_organization_id in select distinct a.organization_id from added a order by 1 loop
    for n in 0 .. tg_nargs - 1 loop
      perform private.require_quota(v_organization_id, tg_argv[n]);
    end loop;
  end loop;
  return null;
end
$$;
comment on function private.check_quota is 'After an insert by a user: holds the organizations of the new rows to the bounds it is given.';

create function private.check_row_quota() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  for n in 0 .. tg_nargs - 1 loop
    perform private.require_quota(new.organization_id, tg_argv[n]);
  end loop;
  return null;
end
$$;
comment on function private.check_row_quota is 'After a change of one row by a user: holds its organization to the bounds it is given.';

create function public.read_quotas(p_organization_id uuid) returns table (bound text, most bigint, used bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform public.require_role(p_organization_id, 'viewer');
  return query
    select q.bound, private.read_quota(p_organization_id, q.bound), private.count_used(p_organization_id, q.bound)
      from private.quotas q
     -- How many organizations there may be is an account's bound, not theirs.
     where (q.organization_id = p_organization_id or q.organization_id is null) and q.bound <> 'organizations'
     group by q.bound
     order by q.bound;
end
$$;
comment on function public.read_quotas is 'For members: what their organization may have, and has. PT404 for strangers.';

revoke all on private.quotas from public, anon, authenticated, service_role;
revoke execute on function private.read_quota, private.count_devices_of, private.count_used, private.count_organization, private.require_quota,
  private.check_quota, private.check_row_quota, public.read_quotas from public, anon, authenticated, service_role;
