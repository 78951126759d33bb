-- Metrics summed up: what transactions have tallied, by the minute; minutes by the hour and hours by the day; and all there ever was.

create table public.integration_metric_rollups (
  like public.integration_metrics including defaults including comments including constraints
) with (fillfactor = 70);
alter table public.integration_metric_rollups rename column minute to at;
alter table public.integration_metric_rollups
  add column step text not null check (step in ('hour', 'day')),
  add primary key (integration_id, organization_id, step, at);
comment on table public.integration_metric_rollups is
  'integration_metrics whose minutes are past their retention, summed up by the hour, and later by the day. Nothing is in two of them.';
create index integration_metric_rollups_organization on public.integration_metric_rollups (organization_id, at desc);
create index integration_metric_rollups_age on public.integration_metric_rollups (step, at);
alter table public.integration_metric_rollups enable row level security;
create policy "Members read their rolled up metrics" on public.integration_metric_rollups
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table public.integration_totals (
  integration_id uuid primary key,
  organization_id uuid not null,
  sessions bigint not null default 0,
  failed_sessions bigint not null default 0,
  session_seconds double precision not null default 0,
  connects bigint not null default 0,
  connect_ms_sum double precision not null default 0,
  connected_seconds double precision not null default 0,
  enqueued bigint not null default 0,
  deliveries bigint not null default 0,
  attempts bigint not null default 0,
  dead bigint not null default 0,
  cancelled bigint not null default 0,
  commands bigint not null default 0,
  answers bigint[],
  errors jsonb,
  response_ms bigint[],
  response_ms_sum double precision not null default 0,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 60);
comment on table public.integration_totals is
  'The sums of all tallies of each integration since it was created, whatever is pruned: none is ever less. Those of messages are in integration_facts.';
create index integration_totals_integration on public.integration_totals (organization_id, integration_id);
alter table public.integration_totals enable row level security;
create policy "Members read their totals" on public.integration_totals
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.sum_tallies(p_tallies private.metric_tallies[], p_by_minute boolean)
returns setof private.metric_tallies
language sql stable set search_path = ''
as $$
  select t.integration_id, t.organization_id, max(t.minute), sum(t.sessions)::bigint, sum(t.failed_sessions)::bigint, sum(t.session_seconds),
         sum(t.connects)::bigint, sum(t.connect_ms_sum), sum(t.connected_seconds), sum(t.enqueued)::bigint, sum(t.deliveries)::bigint,
         sum(t.attempts)::bigint, sum(t.dead)::bigint, sum(t.cancelled)::bigint, sum(t.commands)::bigint,
         -- Place by place, as any other way of adding up arrays takes ten times as long.
         case when count(t.answers) > 0 then array[sum(t.answers[1]), sum(t.answers[2]), sum(t.answers[3]), sum(t.answers[4]), sum(t.answers[5])]::bigint[] end,
         private.sum_errors(t.errors),
         case when count(t.response_ms) > 0 then array[
           sum(t.response_ms[1]), sum(t.response_ms[2]), sum(t.response_ms[3]), sum(t.response_ms[4]), sum(t.response_ms[5]), sum(t.response_ms[6]), sum(t.response_ms[7]), sum(t.response_ms[8]),
           sum(t.response_ms[9]), sum(t.response_ms[10]), sum(t.response_ms[11]), sum(t.response_ms[12]), sum(t.response_ms[13]), sum(t.response_ms[14]), sum(t.response_ms[15])]::bigint[] end,
         sum(t.response_ms_sum)
    from unnest(p_tallies) t
   group by t.organization_id, t.integration_id, case when p_by_minute then t.minute end
   -- Always in this order, as receive_messages goes too.
   order by t.organization_id, t.integration_id, case when p_by_minute then t.minute end
$$;
comment on function private.sum_tallies is 'Tallies summed up by integration, or by integration and minute.';

create function private.add_to_totals(p_tallies private.metric_tallies[]) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_totals as m (
    integration_id, organization_id, sessions, failed_sessions, session_seconds, connects, connect_ms_sum, connected_seconds, enqueued,
    deliveries, attempts, dead, cancelled, commands, answers, errors, response_ms, response_ms_sum)
  select t.integration_id, t.organization_id, t.sessions, t.failed_sessions, t.session_seconds, t.connects, t.connect_ms_sum,
         t.connected_seconds, t.enqueued, t.deliveries, t.attempts, t.dead, t.cancelled, t.commands, t.answers, t.errors, t.response_ms,
         t.response_ms_sum
    from private.sum_tallies(p_tallies, false) t
    -- By the key alone, and then whose it is.
    join lateral (select n.organization_id from public.device_integrations n where n.id = t.integration_id offset 0) i
      on i.organization_id = t.organization_id
   order by t.organization_id, t.integration_id
  on conflict (integration_id) do update
    set sessions = m.sessions + excluded.sessions, failed_sessions = m.failed_sessions + excluded.failed_sessions,
        session_seconds = m.session_seconds + excluded.session_seconds, connects = m.connects + excluded.connects,
        connect_ms_sum = m.connect_ms_sum + excluded.connect_ms_sum, connected_seconds = m.connected_seconds + excluded.connected_seconds,
        enqueued = m.enqueued + excluded.enqueued, deliveries = m.deliveries + excluded.deliveries,
        attempts = m.attempts + excluded.attempts, dead = m.dead + excluded.dead, cancelled = m.cancelled + excluded.cancelled,
        commands = m.commands + excluded.commands, answers = coalesce(private.add_arrays(m.answers, excluded.answers), m.answers, excluded.answers),
        errors = coalesce(private.add_errors(m.errors, excluded.errors), m.errors, excluded.errors), response_ms = coalesce(private.add_arrays(m.response_ms, excluded.response_ms), m.response_ms, excluded.response_ms),
        response_ms_sum = m.response_ms_sum + excluded.response_ms_sum
$$;
comment on function private.add_to_totals is 'Adds tallies to the totals of those integrations that are there still.';

create function private.add_to_minutes(p_tallies private.metric_tallies[]) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_metrics as m (
    integration_id, organization_id, minute, sessions, failed_sessions, session_seconds, connects, connect_ms_sum, connected_seconds,
    enqueued, deliveries, attempts, dead, cancelled, commands, answers, errors, response_ms, response_ms_sum)
  select t.* from private.sum_tallies(p_tallies, true) t
  on conflict (integration_id, organization_id, minute) do update
    set sessions = m.sessions + excluded.sessions, failed_sessions = m.failed_sessions + excluded.failed_sessions,
        session_seconds = m.session_seconds + excluded.session_seconds, connects = m.connects + excluded.connects,
        connect_ms_sum = m.connect_ms_sum + excluded.connect_ms_sum, connected_seconds = m.connected_seconds + excluded.connected_seconds,
        enqueued = m.enqueued + excluded.enqueued, deliveries = m.deliveries + excluded.deliveries,
        attempts = m.attempts + excluded.attempts, dead = m.dead + excluded.dead, cancelled = m.cancelled + excluded.cancelled,
        commands = m.commands + excluded.commands, answers = coalesce(private.add_arrays(m.answers, excluded.answers), m.answers, excluded.answers),
        errors = coalesce(private.add_errors(m.errors, excluded.errors), m.errors, excluded.errors), response_ms = coalesce(private.add_arrays(m.response_ms, excluded.response_ms), m.response_ms, excluded.response_ms),
        response_ms_sum = m.response_ms_sum + excluded.response_ms_sum
$$;
comment on function private.add_to_minutes is 'Adds tallies to the metrics of their minutes.';

create function public.sum_metrics(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_taken private.metric_tallies[];
begin
  -- Of minutes that are over, whose metrics nobody else is writing.
  with taken as (
    delete from private.metric_tallies
     where ctid = any (array(
       select t.ctid from private.metric_tallies t where t.minute < date_trunc('minute', now() - interval '5 seconds')
        limit p_limit for update skip locked))
    returning *
  )
  select array_agg(t::private.metric_tallies) into v_taken from taken t;
  if v_taken is not null then
    perform private.add_to_minutes(v_taken);
    perform private.add_to_totals(v_taken);
  end if;
  return jsonb_build_object(
    'metrics_summed', coalesce(cardinality(v_taken), 0), 'statuses_summed', private.sum_device_tallies(p_limit));
end
$$;
comment on function public.sum_metrics is 'Maintenance, in batches: sums up what transactions have tallied, into integration_metrics, integration_totals and device_statuses.';

create function private.add_rollups(p_rows public.integration_metric_rollups[]) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_metric_rollups as m (
    integration_id, organization_id, step, at, received, stored, duplicates, failed, bytes, lag_seconds, sessions, failed_sessions,
    session_seconds, connects, connect_ms_sum, connected_seconds, enqueued, deliveries, attempts, dead, cancelled, commands, answers,
    errors, response_ms, response_ms_sum)
  select r.integration_id, r.organization_id, r.step, r.at, sum(r.received), sum(r.stored), sum(r.duplicates), sum(r.failed), sum(r.bytes),
         max(r.lag_seconds), sum(r.sessions), sum(r.failed_sessions), sum(r.session_seconds), sum(r.connects), sum(r.connect_ms_sum),
         sum(r.connected_seconds), sum(r.enqueued), sum(r.deliveries), sum(r.attempts), sum(r.dead), sum(r.cancelled), sum(r.commands),
         private.sum_arrays(r.answers), private.sum_errors(r.errors), private.sum_arrays(r.response_ms), sum(r.response_ms_sum)
    from unnest(p_rows) r
   group by r.organization_id, r.integration_id, r.step, r.at
   order by r.organization_id, r.integration_id, r.step, r.at
  on conflict (integration_id, organization_id, step, at) do update
    set received = m.received + excluded.received, stored = m.stored + excluded.stored, duplicates = m.duplicates + excluded.duplicates,
        failed = m.failed + excluded.failed, bytes = m.bytes + excluded.bytes, lag_seconds = greatest(m.lag_seconds, excluded.lag_seconds),
        sessions = m.sessions + excluded.sessions, failed_sessions = m.failed_sessions + excluded.failed_sessions,
        session_seconds = m.session_seconds + excluded.session_seconds, connects = m.connects + excluded.connects,
        connect_ms_sum = m.connect_ms_sum + excluded.connect_ms_sum, connected_seconds = m.connected_seconds + excluded.connected_seconds,
        enqueued = m.enqueued + excluded.enqueued, deliveries = m.deliveries + excluded.deliveries,
        attempts = m.attempts + excluded.attempts, dead = m.dead + excluded.dead, cancelled = m.cancelled + excluded.cancelled,
        commands = m.commands + excluded.commands, answers = coalesce(private.add_arrays(m.answers, excluded.answers), m.answers, excluded.answers),
        errors = coalesce(private.add_errors(m.errors, excluded.errors), m.errors, excluded.errors), response_ms = coalesce(private.add_arrays(m.response_ms, excluded.response_ms), m.response_ms, excluded.response_ms),
        response_ms_sum = m.response_ms_sum + excluded.response_ms_sum
$$;
comment on function private.add_rollups is 'Adds rows to those of their hour or day.';

create function private.roll_up_metrics(p_before timestamptz, p_limit integer) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_hours_from timestamptz := private.kept_from('metric_hours');
  v_days_from timestamptz := private.kept_from('metric_days');
  v_minutes public.integration_metric_rollups[];
  v_hours public.integration_metric_rollups[];
  v_days integer;
begin
  with gone as (
    delete from public.integration_metrics
     where ctid = any (array(
       select m.ctid from public.integration_metrics m where m.minute < p_before limit p_limit for update skip locked))
    returning *
  )
  select array_agg(jsonb_populate_record(
           null::public.integration_metric_rollups,
           to_jsonb(g) || jsonb_build_object('step', 'hour', 'at', date_trunc('hour', g.minute, 'UTC'))))
    into v_minutes from gone g;
  with gone as (
    delete from public.integration_metric_rollups
     where ctid = any (array(
       select r.ctid from public.integration_metric_rollups r where r.step = 'hour' and r.at < v_hours_from
        limit p_limit for update skip locked))
    returning *
  )
  select array_agg(jsonb_populate_record(
           g::public.integration_metric_rollups, jsonb_build_object('step', 'day', 'at', date_trunc('day', g.at, 'UTC'))))
    into v_hours from gone g;
  perform private.add_rollups(v_minutes || v_hours);
  delete from public.integration_metric_rollups
   where ctid = any (array(
     select r.ctid from public.integration_metric_rollups r where r.step = 'day' and r.at < v_days_from
      limit p_limit for update skip locked));
  get diagnostics v_days = row_count;
  perform private.note_pruned('metrics', coalesce(cardinality(v_minutes), 0) < p_limit);
  perform private.note_pruned('metric_hours', coalesce(cardinality(v_hours), 0) < p_limit);
  perform private.note_pruned('metric_days', v_days < p_limit);
  return coalesce(cardinality(v_minutes), 0);
end
$$;
comment on function private.roll_up_metrics is
  'Sums up minutes that are past their retention by the hour, and hours by the day, and forgets days; how many minutes.';

revoke all on public.integration_metric_rollups, public.integration_totals from public, anon, authenticated, service_role;
revoke execute on function private.sum_tallies, private.add_to_totals, private.add_to_minutes, public.sum_metrics, private.add_rollups,
  private.roll_up_metrics from public, anon, authenticated, service_role;
