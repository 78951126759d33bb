-- Metrics as a chart draws them: a point for each minute, hour or day of a time, whatever it is made of by now.

create function private.find_quantile(p_buckets bigint[], p_share double precision) returns double precision
language sql immutable parallel safe set search_path = ''
as $$
  with counted as (
    select b.n, b.least, b.most, sum(b.n) over (order by b.least) as up_to, sum(b.n) over () as total
      from rows from (
             unnest(p_buckets), unnest(array[0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]),
             unnest(array[5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000, 10000])) as b(n, least, most)
  )
  select round((c.least + (c.most - c.least) * (p_share * c.total - c.up_to + c.n) / c.n)::numeric, 1)
    from counted c
   where c.n > 0 and c.up_to >= p_share * c.total
   order by c.least
   limit 1
$$;
comment on function private.find_quantile is 'About the time that this share of response_ms was not longer than: within a bucket as if spread evenly, and no more than 10 s.';

create function private.refuse_range(p_field text, p_message text) returns void
language plpgsql immutable set search_path = ''
as $$
begin
  raise exception using errcode = 'PT422', message = p_message, hint = p_field, detail = 'invalid_range';
end
$$;
comment on function private.refuse_range is 'Refuses what is asked for, naming the parameter.';

create function private.check_range(p_step text, p_from timestamptz, p_to timestamptz) returns void
language plpgsql stable set search_path = ''
as $$
declare
  c_most constant integer := 1500;
  v_what text := case p_step when 'minute' then 'metrics' when 'hour' then 'metric_hours' else 'metric_days' end;
begin
  if p_from >= p_to then
    perform private.refuse_range('from', 'Expected a time before to.');
  end if;
  if p_to - p_from > c_most * ('1 ' || p_step)::interval then
    perform private.refuse_range('from', format(
      'Expected at most %s points; give a later from, an earlier to or a larger step.', c_most));
  end if;
  if p_from < private.kept_from(v_what) - interval '1 day' and p_step <> 'day' then
    perform private.refuse_range('step', format(
      'From then on there is nothing by the %s any more, which is kept for %s; ask for a larger step.', p_step,
      (select r.kept from private.retention r where r.what = v_what)));
  end if;
end
$$;
comment on function private.check_range is 'Refuses ranges that are empty, have more than 1,500 points, or begin before metrics are kept in such steps.';

create function private.list_points(p_organization_id uuid, p_integration_id uuid, p_step text, p_from timestamptz, p_to timestamptz)
returns setof public.integration_metric_rollups
language sql stable set search_path = ''
as $$
  with found as (
    select m.* from public.integration_metrics m
     where m.integration_id = p_integration_id and m.organization_id = p_organization_id and m.minute >= p_from and m.minute < p_to
    union all
    select r.integration_id, r.at, r.organization_id, r.received, r.stored, r.duplicates, r.failed, r.bytes, r.lag_seconds, r.sessions,
           r.failed_sessions, r.session_seconds, r.connects, r.connect_ms_sum, r.connected_seconds, r.enqueued, r.deliveries, r.attempts,
           r.dead, r.cancelled, r.commands, r.answers, r.errors, r.response_ms, r.response_ms_sum
      from public.integration_metric_rollups r
     where r.integration_id = p_integration_id and r.organization_id = p_organization_id and r.at >= p_from and r.at < p_to
       and (r.step = 'hour' and p_step <> 'minute' or p_step = 'day')
    union all
    select t.integration_id, t.minute, t.organization_id, 0, 0, 0, 0, 0, null, t.sessions, t.failed_sessions, t.session_seconds,
           t.connects, t.connect_ms_sum, t.connected_seconds, t.enqueued, t.deliveries, t.attempts, t.dead, t.cancelled, t.commands,
           t.answers, t.errors, t.response_ms, t.response_ms_sum
      from private.metric_tallies t
     where t.integration_id = p_integration_id and t.organization_id = p_organization_id and t.minute >= p_from and t.minute < p_to
  )
  select p_integration_id, date_trunc(p_step, f.minute, 'UTC'), p_organization_id, sum(f.received)::bigint, sum(f.stored)::bigint,
         sum(f.duplicates)::bigint, sum(f.failed)::bigint, sum(f.bytes)::bigint, max(f.lag_seconds), sum(f.sessions)::bigint,
         sum(f.failed_sessions)::bigint, sum(f.session_seconds), sum(f.connects)::bigint, sum(f.connect_ms_sum), sum(f.connected_seconds),
         sum(f.enqueued)::bigint, sum(f.deliveries)::bigint, sum(f.attempts)::bigint, sum(f.dead)::bigint, sum(f.cancelled)::bigint,
         sum(f.commands)::bigint, private.sum_arrays(f.answers), private.sum_errors(f.errors), private.sum_arrays(f.response_ms),
         sum(f.response_ms_sum), p_step
    from found f
   group by date_trunc(p_step, f.minute, 'UTC')
$$;
comment on function private.list_points is 'What there is of an integration within a time, by the step: of minutes, of what they were rolled up to, and of what is not summed up yet.';

create function private.find_uptime(
  p_point public.integration_metric_rollups, p_at timestamptz, p_until timestamptz, p_keeps_connection boolean
) returns double precision
language sql stable set search_path = ''
as $$
  select case
    when p_until <= p_at then null
    when p_keeps_connection then least(1, round((coalesce(p_point.connected_seconds, 0) / extract(epoch from p_until - p_at))::numeric, 4))
    when p_point.sessions > 0 then round(1 - p_point.failed_sessions::numeric / p_point.sessions, 4)
  end
$$;
comment on function private.find_uptime is
  'Of an integration that keeps a connection the share of the time that it had one, of others the share of sessions that went well; null where there was neither.';

create function public.read_metrics(
  p_integration_id uuid, p_from timestamptz default null, p_to timestamptz default null, p_step text default 'minute'
) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_created_at timestamptz;
  v_step interval;
  v_to timestamptz := least(coalesce(p_to, now()), now());
  v_from timestamptz;
  v_keeps_connection boolean;
begin
  select i.organization_id, i.created_at into v_organization_id, v_created_at
    from public.device_integrations i
   where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    raise exception 'There is no such integration here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if p_step is null or p_step not in ('minute', 'hour', 'day') then
    perform private.refuse_range('step', 'Expected minute, hour or day.');
  end if;
  v_step := ('1 ' || p_step)::interval;
  v_from := coalesce(p_from, coalesce(p_to, now()) - case p_step when 'minute' then interval '1 hour' when 'hour' then interval '1 day' else interval '30 days' end);
  perform private.check_range(p_step, v_from, coalesce(p_to, greatest(now(), v_from + interval '1 second')));
  v_from := date_trunc(p_step, v_from, 'UTC');
  v_keeps_connection := exists (
      select from public.integration_schedules s
       where s.integration_id = p_integration_id and s.organization_id = v_organization_id and s.connected_to is not null)
    or exists (
      select from private.list_points(v_organization_id, p_integration_id, p_step, v_from, v_to) c where c.connected_seconds > 0);
  return jsonb_build_object('series', (
    select coalesce(jsonb_agg(jsonb_build_object(
             'at', s.at, 'received', coalesce(p.received, 0), 'stored', coalesce(p.stored, 0), 'duplicates', coalesce(p.duplicates, 0),
             'failed', coalesce(p.failed, 0), 'bytes', coalesce(p.bytes, 0), 'lag_seconds', p.lag_seconds,
             'sessions', coalesce(p.sessions, 0), 'failed_sessions', coalesce(p.failed_sessions, 0),
             'connect_ms', round((p.connect_ms_sum / nullif(p.connects, 0))::numeric, 1),
             'uptime_ratio', private.find_uptime(p, greatest(s.at, v_created_at), least(s.at + v_step, now()), v_keeps_connection),
             'enqueued', coalesce(p.enqueued, 0), 'deliveries', coalesce(p.deliveries, 0), 'attempts', coalesce(p.attempts, 0),
             'dead', coalesce(p.dead, 0), 'cancelled', coalesce(p.cancelled, 0),
             'errors', coalesce(p.errors, '{}') || case when p.failed > 0 then jsonb_build_object('undecoded', p.failed) else '{}' end,
             'response_ms', jsonb_build_object('p50', private.find_quantile(p.response_ms, 0.5), 'p95', private.find_quantile(p.response_ms, 0.95)),
             'commands', coalesce(p.commands, 0)) order by s.at), '[]')
      from generate_series(v_from at time zone 'UTC', v_to at time zone 'UTC', v_step) g(at)
      cross join lateral (select g.at at time zone 'UTC' as at) s
      left join private.list_points(v_organization_id, p_integration_id, p_step, v_from, v_to) p on p.at = s.at
     where s.at < v_to));
end
$$;
comment on function public.read_metrics is
  'For members: {series}, a point for each minute, hour or day (UTC) from the one that p_from is in up to p_to, at most 1,500. PT404 where the caller sees no such integration, PT422 names the parameter.';

revoke execute on function private.find_quantile, private.refuse_range, private.check_range, private.list_points, private.find_uptime,
  public.read_metrics from public, anon, authenticated, service_role;
