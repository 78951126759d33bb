-- All that GET /functions/v1/metrics tells, in one call: sums that never fall, and how things are.

create function private.sum_totals() returns setof private.metric_tallies
language sql stable set search_path = ''
as $$
  select c.integration_id, c.organization_id, now(), sum(c.sessions)::bigint, sum(c.failed_sessions)::bigint, sum(c.session_seconds),
         sum(c.connects)::bigint, sum(c.connect_ms_sum), sum(c.connected_seconds), sum(c.enqueued)::bigint, sum(c.deliveries)::bigint,
         sum(c.attempts)::bigint, sum(c.dead)::bigint, sum(c.cancelled)::bigint, sum(c.commands)::bigint,
         private.sum_arrays(c.answers), private.sum_errors(c.errors), private.sum_arrays(c.response_ms), sum(c.response_ms_sum)
    from (
      select t.integration_id, t.organization_id, t.sessions, t.failed_sessions, t.session_seconds, t.connects, t.connect_ms_sum,
             t.connected_seconds, t.enqueued, t.deliveries, t.attempts, t.dead, t.cancelled, t.commands, t.answers, t.errors,
             t.response_ms, t.response_ms_sum
        from public.integration_totals t
      union all
      select t.integration_id, t.organization_id, t.sessions, t.failed_sessions, t.session_seconds, t.connects, t.connect_ms_sum,
             t.connected_seconds, t.enqueued, t.deliveries, t.attempts, t.dead, t.cancelled, t.commands, t.answers, t.errors,
             t.response_ms, t.response_ms_sum
        from private.metric_tallies t) c
   group by c.integration_id, c.organization_id
$$;
comment on function private.sum_totals is 'What there ever was of each integration, with what is not summed up yet.';

create function private.list_integration_metrics(p_most integer) returns json
language sql stable set search_path = ''
as $$
  select coalesce(json_agg(row_to_json(shown)), '[]')
    from (
      select i.id, i.integration_type, i.name, i.status,
             (i.status <> 'error' and s.state is distinct from 'failing')::integer as up,
             f.received, f.stored, f.duplicates, f.undecoded, f.bytes, extract(epoch from now() - f.last_at) as last_message_seconds,
             l.lag_seconds, t.sessions, t.failed_sessions, t.session_seconds, t.connected_seconds, t.enqueued, t.deliveries, t.dead,
             t.cancelled, t.commands, t.answers, t.errors, t.response_ms, t.response_ms_sum, (q.q).pending as queue,
             greatest(0, extract(epoch from now() - (q.q).due_at)) as oldest_seconds, (q.q).dead as dead_letters,
             case when c.slots > 1 then private.sum_lag(i.id) else c.lag end as consumer_lag,
             coalesce(c.state -> 'certificates', '{}')
               || case when coalesce(f.certificate_ends, o.certificate_ends) is not null
                    then jsonb_build_object('endpoint', extract(epoch from least(f.certificate_ends, o.certificate_ends))) else '{}' end as certificates
        from public.device_integrations i
        left join public.integration_states s on s.integration_id = i.id and s.organization_id = i.organization_id
        left join public.integration_facts f on f.integration_id = i.id and f.organization_id = i.organization_id and f.direction = 'in'
        left join public.integration_facts o on o.integration_id = i.id and o.organization_id = i.organization_id and o.direction = 'out'
        left join private.sum_totals() t on t.integration_id = i.id and t.organization_id = i.organization_id
        left join public.integration_schedules c on c.integration_id = i.id and c.organization_id = i.organization_id and c.slot = 0
        cross join lateral (
          select max(m.lag_seconds) as lag_seconds from public.integration_metrics m
           where m.integration_id = i.id and m.organization_id = i.organization_id and m.minute > now() - interval '5 minutes' offset 0) l
        cross join lateral (
          select case when i.settings ? 'events' then private.count_queue(i.organization_id, i.id) end as q offset 0) q
       order by i.created_at, i.id
       limit p_most) shown
$$;
comment on function private.list_integration_metrics is 'Of each integration, the oldest first, all that is told of it.';

create function public.read_platform_metrics() returns json
language sql stable security definer set search_path = ''
as $$
  select json_build_object(
    -- As many as the text of a scrape has room for, with all kinds of errors: 50 megabytes of it.
    'integrations', private.list_integration_metrics(5000),
    'statuses', (select coalesce(json_object_agg(i.status, i.n), '{}')
                   from (select e.status, count(*) as n from public.device_integrations e group by 1) i),
    'devices', (select coalesce(json_object_agg(d.status, d.devices), '{}') from private.list_device_statuses() d),
    'commands', (select coalesce(json_object_agg(c.status, c.n), '{}')
                   from (select e.status, count(*) as n from public.device_commands e where e.status in ('pending', 'sending') group by 1) c),
    'alerts', (select coalesce(json_agg(a), '[]')
                 from (select e.kind, e.level, count(*) as n from public.alerts e where e.resolved_at is null group by 1, 2) a),
    'scheduler_last_seen_seconds', (select extract(epoch from now() - max(h.seen_at)) from private.heartbeats h))
$$;
comment on function public.read_platform_metrics is
  'For the operator''s GET /metrics: of each integration, of the 5,000 oldest, what its counters have come to and how it is, and the platform. None of the counters is ever less, whatever is pruned.';

revoke execute on function private.sum_totals, private.list_integration_metrics, public.read_platform_metrics
  from public, anon, authenticated, service_role;
