-- Work counted by the minute: what was received is what was stored, what came twice and what failed, always.

create table public.integration_metrics (
  integration_id uuid not null,
  minute timestamptz not null,
  organization_id uuid not null,
  received bigint not null default 0,
  stored bigint not null default 0,
  duplicates bigint not null default 0,
  failed bigint not null default 0,
  bytes bigint not null default 0,
  lag_seconds real,
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
  primary key (integration_id, organization_id, minute),
  constraint nothing_is_lost check (received = stored + duplicates + failed)
) with (fillfactor = 60);
comment on table public.integration_metrics is
  'Work per integration and minute. failed messages are kept with raw and error; received = stored + duplicates + failed, always.';
comment on column public.integration_metrics.bytes is 'Of bodies as they came; of what came again, again.';
comment on column public.integration_metrics.lag_seconds is 'The longest that a message was on its way, by its device''s clock.';
comment on column public.integration_metrics.sessions is 'Sessions that ended; failed_sessions are those of them that ended with an error.';
comment on column public.integration_metrics.connected_seconds is 'How long a connection was kept, added once a minute and when it ends.';
comment on column public.integration_metrics.enqueued is 'Deliveries that were queued, replays too. Those that ended count as deliveries (delivered), dead or cancelled.';
comment on column public.integration_metrics.answers is 'Attempts by what was answered: nothing, 2xx, 3xx, 4xx, 5xx.';
comment on column public.integration_metrics.errors is 'What went wrong, {kind: how often}: codes of problems, and http_<status> of endpoints.';
comment on column public.integration_metrics.response_ms is 'Calls of the other side by how long they took: up to 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000 ms, and longer.';
create index integration_metrics_organization on public.integration_metrics (organization_id, minute desc);
create index integration_metrics_age on public.integration_metrics using brin (minute) with (autosummarize = on);

alter table public.integration_metrics enable row level security;
create policy "Members read their metrics" on public.integration_metrics
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table private.metric_tallies (
  integration_id uuid not null,
  organization_id uuid not null,
  minute timestamptz not null,
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
  response_ms_sum double precision not null default 0
);
comment on table private.metric_tallies is
  'What a transaction did, counted in it and only ever added: none waits for another''s counts. Maintenance sums them up to integration_metrics.';
create index metric_tallies_integration on private.metric_tallies (integration_id);
alter table private.metric_tallies enable row level security;

create function private.bucket_ms(p_ms double precision) returns integer
language sql immutable parallel safe set search_path = ''
as $$
  select width_bucket(p_ms - 0.0001, array[5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]::double precision[])
$$;
comment on function private.bucket_ms is 'Where response_ms counts a time: 0 for up to 5 ms … 14 for more than 10 s.';

create function private.count_places(p_places integer[], p_size integer) returns bigint[]
language sql immutable parallel safe set search_path = ''
as $$
  select array(
    select count(p.place) from generate_series(0, p_size - 1) s(place) left join unnest(p_places) p(place) on p.place = s.place
     group by s.place order by s.place)
$$;
comment on function private.count_places is 'How often each place from 0 to p_size - 1 is among p_places.';

create function private.add_arrays(p_one bigint[], p_other bigint[]) returns bigint[]
language sql immutable strict parallel safe set search_path = ''
as $$
  select array_agg(coalesce(u.one, 0) + coalesce(u.other, 0) order by u.n)
    from rows from (unnest(p_one), unnest(p_other)) with ordinality u(one, other, n)
$$;
comment on function private.add_arrays is 'Adds up place by place; null where one is.';
create aggregate private.sum_arrays(bigint[]) (sfunc = private.add_arrays, stype = bigint[]);
comment on aggregate private.sum_arrays(bigint[]) is 'Sums up place by place; null for none.';

create function private.add_errors(p_one jsonb, p_other jsonb) returns jsonb
language sql immutable strict parallel safe set search_path = ''
as $$
  -- No more kinds than somebody may want to read, whatever an endpoint answers: the rest are counted together.
  select jsonb_object_agg(k.kind, k.n)
    from (
      select case when r.place <= 30 then r.kind else 'other' end as kind, sum(r.n) as n
        from (
          select b.key as kind, sum(b.value::bigint) as n, row_number() over (order by b.key = 'other', sum(b.value::bigint) desc, b.key) as place
            from (select * from jsonb_each_text(p_one) union all select * from jsonb_each_text(p_other)) b
           group by b.key) r
       group by 1) k
$$;
comment on function private.add_errors is 'Adds up how often each kind of error was met, of 30 kinds and others; null where one is.';
create aggregate private.sum_errors(jsonb) (sfunc = private.add_errors, stype = jsonb);
comment on aggregate private.sum_errors(jsonb) is 'Sums up {kind: how often}; null for none.';

create function private.list_uptime(p_from timestamptz, p_to timestamptz) returns table (minute timestamptz, seconds double precision)
language sql stable set search_path = ''
as $$
  select m.minute, extract(epoch from least(p_to, m.minute + interval '1 minute') - greatest(p_from, m.minute))
    from generate_series(date_trunc('minute', p_from), p_to, interval '1 minute') m(minute)
   where p_to > p_from
$$;
comment on function private.list_uptime is 'A time that something was connected for, minute by minute; none where it ends before it begins.';

create function private.count_uptime(p_integration_id uuid, p_lease_token uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  with kept as (
    select s.organization_id, s.connected_to, s.slots from public.integration_schedules s
     where s.integration_id = p_integration_id and s.lease_token = p_lease_token and s.connected_to is not null
  ),
  moved as (
    update public.integration_schedules s set connected_to = now()
     where s.integration_id = p_integration_id and s.lease_token = p_lease_token and s.connected_to is not null
  )
  insert into private.metric_tallies (integration_id, organization_id, minute, connected_seconds)
  select p_integration_id, k.organization_id, u.minute, u.seconds / k.slots
    from kept k cross join lateral private.list_uptime(k.connected_to, now()) u;
end
$$;
comment on function private.count_uptime is 'Counts the time that a session under this lease has been connected for and that is not counted yet; of several slots each is a part of the time.';

create function private.count_duplicates(p_organization_id uuid, p_integration_id uuid, p_count bigint, p_bytes bigint default 0) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_metrics as t (integration_id, minute, organization_id, received, duplicates, bytes)
  select p_integration_id, date_trunc('minute', now()), p_organization_id, p_count, p_count, p_bytes where p_count > 0
  on conflict (integration_id, organization_id, minute) do update
    set received = t.received + excluded.received, duplicates = t.duplicates + excluded.duplicates, bytes = t.bytes + excluded.bytes
$$;
comment on function private.count_duplicates is 'Counts messages that were known to be duplicates before they were to be stored.';

revoke all on public.integration_metrics, private.metric_tallies from public, anon, authenticated, service_role;
revoke execute on function private.bucket_ms, private.count_places, private.add_arrays, private.sum_arrays, private.add_errors, private.sum_errors,
  private.list_uptime, private.count_uptime, private.count_duplicates from public, anon, authenticated, service_role;
