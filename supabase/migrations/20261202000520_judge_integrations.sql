-- The round of judging: integrations, the quotas of their organizations, and the platform itself.

create table private.judgements (
  subject uuid primary key,
  judged_at timestamptz not null
);
comment on table private.judgements is 'When an organization, or the platform (the nil UUID), was last judged.';
alter table private.judgements enable row level security;

create function private.is_due(p_subject uuid, p_pause interval) returns boolean
language plpgsql volatile set search_path = ''
as $$
begin
  insert into private.judgements as j (subject, judged_at) values (p_subject, now())
  on conflict (subject) do update set judged_at = excluded.judged_at where j.judged_at <= now() - p_pause;
  return found;
end
$$;
comment on function private.is_due is 'Whether it is time to judge it again; if so, nobody else will until it is time again.';

create function private.judge_organization(p_organization_id uuid) returns integer[]
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_threshold numeric := (select k.threshold from private.alert_kinds k where k.kind = 'quota.reached');
  v_near jsonb;
  v_change integer;
begin
  select jsonb_object_agg(u.bound, jsonb_build_object('used', u.used, 'most', u.most) order by u.bound) into v_near
    from (
      select b.bound, q.most, private.count_used(p_organization_id, b.bound) as used
        from (select distinct a.bound from private.quotas a where a.bound <> 'organizations') b -- which is a person's
       cross join lateral (select private.read_quota(p_organization_id, b.bound) as most) q
       where q.most is not null) u
   where u.used > 0 and u.used >= u.most * v_threshold;
  v_change := private.weigh_alert(
    p_organization_id, null, 'quota.reached',
    case when exists (select from jsonb_each(v_near) n where (n.value ->> 'used')::bigint >= (n.value ->> 'most')::bigint) then 'error' end,
    v_near is not null,
    'The organization has nearly as much as it may have of: ' || (
      select string_agg(format('%s (%s of %s)', replace(n.key, '_', ' '), n.value ->> 'used', n.value ->> 'most'), ', ' order by n.key)
        from jsonb_each(v_near) n)
      || '. Remove what is not needed, or ask the operator of this platform to raise the bound.',
    jsonb_build_object('bounds', v_near));
  return array[greatest(v_change, 0), greatest(-v_change, 0)];
end
$$;
comment on function private.judge_organization is 'Weighs the quotas of an organization; how many alerts were raised and resolved.';

create function private.judge_platform() returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organizations uuid[] := array(select o.organization_id from private.operators o);
  v_organization_id uuid;
  v_kind record;
  v_change integer;
  v_raised integer := 0;
  v_resolved integer := 0;
  v_day date := (now() at time zone 'UTC')::date;
  v_skew double precision := (select c.skew from private.clocks c where c.seen_at > now() - interval '10 minutes');
begin
  if v_organizations = '{}' then
    v_organizations := array[null::uuid];
  end if;
  for v_kind in
    select k.kind, case k.kind
             when 'partitions.behind' then to_regclass('private.device_messages_' || to_char(v_day + 1, 'YYYYMMDD')) is null
             when 'retention.behind' then private.list_behind(k.threshold) is not null
             when 'keys.due' then coalesce((
               select v.promoted_at < now() - k.threshold * interval '1 day' from private.vault_keys v
                where v.retired_at is null and v.promoted_at is not null order by v.promoted_at desc limit 1), false)
             when 'clock.skewed' then coalesce(v_skew >= k.threshold, false)
           end as is_met,
           case k.kind
             when 'partitions.behind' then 'There is no partition for the messages of tomorrow: see why maintenance does not run, and call prune_messages().'
             when 'retention.behind' then format(
               'What is past its retention is still there days later (%s): see why maintenance does not run, or what holds the tables.',
               array_to_string(private.list_behind(k.threshold), ', '))
             when 'keys.due' then 'The key that seals credentials has done so for long: rotate it, as docs/rotating-secrets.md says.'
             when 'clock.skewed' then format('The clock of a worker is %s s off that of the database: synchronize it.', round(v_skew))
           end as message
      from private.alert_kinds k
     where k.kind in ('partitions.behind', 'retention.behind', 'keys.due', 'clock.skewed')
  loop
    foreach v_organization_id in array v_organizations loop
      v_change := private.weigh_alert(v_organization_id, null, v_kind.kind, null, v_kind.is_met, v_kind.message, '{}');
      v_raised := v_raised + greatest(v_change, 0);
      v_resolved := v_resolved + greatest(-v_change, 0);
    end loop;
  end loop;
  return jsonb_build_object('raised', v_raised, 'resolved', v_resolved);
end
$$;
comment on function private.judge_platform is 'Weighs what is the operator''s: partitions, retention, the vault''s key, the clocks of workers.';

create function public.judge_integrations(
  p_limit integer default 100, p_seconds double precision default 60, p_work_seconds double precision default 2
) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '100ms'
as $$
declare
  v_pause interval := make_interval(secs => p_seconds);
  -- Devices to mark and events to queue: far less than what the statement timeout of the API leaves time for.
  v_most constant integer := 5000;
  v_half interval := make_interval(secs => p_work_seconds / 2);
  v_until timestamptz := clock_timestamp() + 2 * v_half;
  v_row record;
  v_counts integer[];
  v_sum integer[] := array[0, 0];
  v_judged integer := 0;
  v_work integer := 0;
  v_told integer := 0;
  v_is_full boolean := false;
  v_organizations uuid[] := '{}';
  v_organization_id uuid;
  v_platform jsonb := '{}';
  v_broken jsonb := '{}';
begin
  for v_row in
    select t.integration_id, t.organization_id, i.settings, i.status
      from public.integration_states t
      join public.device_integrations i on i.id = t.integration_id and i.organization_id = t.organization_id
     where t.judged_at <= now() - v_pause
     order by t.judged_at limit p_limit
       for update of t skip locked
  loop
    v_judged := v_judged + 1;
    begin
      v_work := v_work + private.sweep_devices(
        v_row.organization_id, v_row.integration_id, v_row.settings, v_row.status <> 'inactive', v_most - v_work);
      v_counts := private.judge_integration(v_row.organization_id, v_row.integration_id);
      v_sum := array[v_sum[1] + v_counts[1], v_sum[2] + v_counts[2]];
      v_organizations := case when v_row.organization_id = any (v_organizations) then v_organizations else v_organizations || v_row.organization_id end;
    -- A statement timeout too: what was judged before it stays so, and the line moves on.
    exception when query_canceled or others then
      v_broken := v_broken || jsonb_build_object(v_row.integration_id::text, left(sqlstate || ' ' || sqlerrm, 200));
      v_work := case when sqlstate = '57014' then v_most else v_work end;
    end;
    update public.integration_states t set judged_at = now() where t.integration_id = v_row.integration_id;
    v_is_full := v_judged >= p_limit or v_work >= v_most or clock_timestamp() > v_until;
    exit when v_is_full;
  end loop;
  v_until := clock_timestamp() + v_half;
  foreach v_organization_id in array v_organizations || array(
    -- Whose last integration is gone, and the quota with it.
    select a.organization_id from public.alerts a
     where a.kind = 'quota.reached' and a.integration_id is null and a.resolved_at is null and not a.organization_id = any (v_organizations)
     limit 100)
  loop
    begin
      if private.is_due(v_organization_id, 5 * v_pause) then
        v_counts := private.judge_organization(v_organization_id);
        v_sum := array[v_sum[1] + v_counts[1], v_sum[2] + v_counts[2]];
      end if;
    exception when query_canceled or others then
      v_broken := v_broken || jsonb_build_object(v_organization_id::text, left(sqlstate || ' ' || sqlerrm, 200));
    end;
    exit when clock_timestamp() > v_until;
  end loop;
  begin
    if private.is_due('00000000-0000-0000-0000-000000000000', v_pause) then
      v_platform := private.judge_platform();
    end if;
    v_until := clock_timestamp() + v_half;
    v_told := private.end_quiet_alerts(v_until) + private.tell_calm(v_until);
  exception when query_canceled or others then
    v_broken := v_broken || jsonb_build_object('platform', left(sqlstate || ' ' || sqlerrm, 200));
  end;
  return jsonb_build_object(
    'judged', v_judged, 'is_full', v_is_full, 'raised', v_sum[1] + coalesce((v_platform ->> 'raised')::integer, 0),
    'resolved', v_sum[2] + coalesce((v_platform ->> 'resolved')::integer, 0), 'told', v_told, 'broken', v_broken,
    'platform', coalesce((
      select jsonb_agg(a.kind order by a.kind) from public.alerts a where a.organization_id is null and a.resolved_at is null), '[]'));
end
$$;
comment on function public.judge_integrations is
  'Maintenance, every few seconds: judges up to p_limit integrations that were not judged for p_seconds, each in a guard of its own, the quotas of '
  'their organizations every fifth time, and the platform; tells the end of alerts that have become calm. After p_work_seconds, or 5,000 devices and '
  'events, the rest is of the next round, of which is_full says that it should not wait: one organization''s storm holds up nobody else. '
  'broken says what could not be judged, and why.';

revoke all on private.judgements from public, anon, authenticated, service_role;
revoke execute on function private.is_due, private.judge_organization, private.judge_platform, public.judge_integrations
  from public, anon, authenticated, service_role;
