-- What health is worked out from, kept with the work itself: the last of each, and how many by the hour.

create table public.integration_facts (
  integration_id uuid not null,
  direction text not null check (direction in ('in', 'out')),
  organization_id uuid not null,
  last_at timestamptz,
  undecoded_at timestamptz,
  failed_at timestamptz,
  failures integer not null default 0,
  refusals integer not null default 0,
  refused jsonb not null default '{}',
  last_error text check (length(last_error) <= 2000),
  hour timestamptz not null default 'epoch',
  hours bigint[] not null default array_fill(0::bigint, array[24]),
  day bigint not null default 0,
  received bigint not null default 0,
  stored bigint not null default 0,
  duplicates bigint not null default 0,
  undecoded bigint not null default 0,
  bytes bigint not null default 0,
  certificate_begins timestamptz,
  certificate_ends timestamptz,
  gaps jsonb,
  primary key (integration_id, direction),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 50);
comment on table public.integration_facts is
  'Of each integration what came in (in) and what went out (out): written in the transaction of the work it speaks of. Never holds a secret.';
comment on column public.integration_facts.last_at is 'in: when the last message came. out: when the last event was delivered.';
comment on column public.integration_facts.undecoded_at is 'When the last message came that could not be decoded.';
comment on column public.integration_facts.failed_at is 'in: when the last session failed. out: when the last attempt failed.';
comment on column public.integration_facts.failures is 'Sessions, or attempts, that failed in a row.';
comment on column public.integration_facts.refusals is
  'Of them those in a row that failed because the credentials were refused. in: of the kind of call that was refused most often.';
comment on column public.integration_facts.refused is
  'in: which kinds of calls (session, command, or a job''s kind) were refused for their credentials, how often in a row and when last: {kind: {times, at}}.';
comment on column public.integration_facts.hours is 'Messages by the hour of the day (UTC), of the 24 hours up to hour.';
comment on column public.integration_facts.day is 'The sum of hours.';
comment on column public.integration_facts.received is
  'in: messages since it was created, whatever is pruned: received = stored + duplicates + undecoded. None is ever less; what is replayed is received again.';
comment on column public.integration_facts.certificate_ends is 'Until when the certificate holds that the other side last showed: the endpoint (out), or the API that is asked (in).';
comment on column public.integration_facts.gaps is
  'out: the paths of payload_template that lead nowhere now, and in how many events in a row; null where none was rendered since the last change.';
create index integration_facts_integration on public.integration_facts (organization_id, integration_id);

alter table public.integration_facts enable row level security;
create policy "Members see the facts" on public.integration_facts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.count_hour(p_hours bigint[], p_hour timestamptz, p_now timestamptz, p_count bigint) returns bigint[]
language sql immutable parallel safe set search_path = ''
as $$
  -- How many hours ago each place was counted, seen from the later of the two.
  select array_agg(
           case when s.age < 24 then p_hours[s.slot] else 0 end
           + case when s.slot = 1 + mod((extract(epoch from p_now) / 3600)::bigint, 24) and p_now > n.hour - interval '24 hours'
               then p_count else 0 end
           order by s.slot)
    from (select greatest(p_hour, p_now) as hour) n
    cross join lateral (
      select g.slot,
             extract(epoch from n.hour - p_hour) / 3600
             + mod(24 + mod((extract(epoch from p_hour) / 3600)::bigint, 24) - (g.slot - 1), 24) as age
        from generate_series(1, 24) g(slot)) s
$$;
comment on function private.count_hour is 'Counts p_count in the hour p_now, and forgets what is then 24 hours old. p_hour is the latest that was counted.';

create function private.sum_day(p_hours bigint[], p_hour timestamptz, p_day bigint) returns bigint
language plpgsql stable set search_path = ''
as $$
begin
  return case
    when p_hour >= date_trunc('hour', now(), 'UTC') then p_day
    when p_hour <= now() - interval '24 hours' then 0
    else (select sum(h) from unnest(private.count_hour(p_hours, p_hour, date_trunc('hour', now(), 'UTC'), 0)) h)
  end;
end
$$;
comment on function private.sum_day is 'The messages of the last 24 hours, by whole hours.';

create function private.note_messages() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_kept bigint := new.stored + new.failed;
  v_undecoded bigint := new.failed;
  v_hour timestamptz := date_trunc('hour', new.minute, 'UTC');
  v_at timestamptz := least(now(), new.minute + interval '1 minute');
  v_slot integer := 1 + mod((extract(epoch from v_hour) / 3600)::bigint, 24);
  v_received bigint := new.received;
  v_duplicates bigint := new.duplicates;
  v_bytes bigint := new.bytes;
begin
  if tg_op = 'UPDATE' then
    v_kept := v_kept - old.stored - old.failed;
    v_undecoded := v_undecoded - old.failed;
    v_received := v_received - old.received;
    v_duplicates := v_duplicates - old.duplicates;
    v_bytes := v_bytes - old.bytes;
  end if;
  if v_received <= 0 then
    return null;
  end if;
  update public.integration_facts f
     set last_at = case when v_kept > 0 then greatest(f.last_at, v_at) else f.last_at end,
         hours[v_slot] = f.hours[v_slot] + v_kept, day = f.day + v_kept, received = f.received + v_received,
         stored = f.stored + v_kept - v_undecoded, duplicates = f.duplicates + v_duplicates, undecoded = f.undecoded + v_undecoded,
         bytes = f.bytes + v_bytes,
         undecoded_at = case when v_undecoded > 0 then greatest(f.undecoded_at, v_at) else f.undecoded_at end
   where f.integration_id = new.integration_id and f.direction = 'in' and f.hour = v_hour;
  if not found then
    insert into public.integration_facts as f (
      integration_id, direction, organization_id, last_at, undecoded_at, hour, hours, day, received, stored, duplicates, undecoded, bytes)
    select i.id, 'in', i.organization_id, case when v_kept > 0 then v_at end, case when v_undecoded > 0 then v_at end, v_hour,
           private.count_hour(array_fill(0::bigint, array[24]), 'epoch', v_hour, v_kept), v_kept, v_received, v_kept - v_undecoded,
           v_duplicates, v_undecoded, v_bytes
      from public.device_integrations i
     where i.id = new.integration_id and i.organization_id = new.organization_id
    on conflict (integration_id, direction) do update
      set last_at = greatest(f.last_at, excluded.last_at), undecoded_at = greatest(f.undecoded_at, excluded.undecoded_at),
          hour = greatest(f.hour, v_hour), hours = private.count_hour(f.hours, f.hour, v_hour, v_kept),
          day = (select sum(h) from unnest(private.count_hour(f.hours, f.hour, v_hour, v_kept)) h),
          received = f.received + excluded.received, stored = f.stored + excluded.stored,
          duplicates = f.duplicates + excluded.duplicates, undecoded = f.undecoded + excluded.undecoded, bytes = f.bytes + excluded.bytes;
  end if;
  return null;
end
$$;
comment on function private.note_messages is 'Keeps the facts of what came in with the counts of each batch, in its transaction.';
create trigger note_messages after insert or update on public.integration_metrics
  for each row execute function private.note_messages();

create function private.count_refused(p_refused jsonb) returns integer
language sql immutable parallel safe set search_path = ''
as $$ select coalesce(max((r.value ->> 'times')::integer), 0) from jsonb_each(p_refused) r $$;
comment on function private.count_refused is 'How often in a row that kind of call was refused which was refused most often.';

create function private.add_refused(p_refused jsonb, p_call text) returns jsonb
language sql stable parallel safe set search_path = ''
as $$
  select p_refused || jsonb_build_object(p_call, jsonb_build_object(
           'times', coalesce((p_refused #>> array[p_call, 'times'])::integer, 0) + 1, 'at', now()))
$$;
comment on function private.add_refused is 'What is refused once a call of this kind was, once more.';

create function private.drop_refused(p_refused jsonb, p_call text) returns jsonb
language sql stable parallel safe set search_path = ''
as $$
  select coalesce(jsonb_object_agg(r.key, r.value), '{}')
    from jsonb_each(p_refused) r
   where r.key <> p_call and (r.value ->> 'at')::timestamptz > now() - interval '1 day'
$$;
comment on function private.drop_refused is
  'What is still refused once a call of this kind has succeeded: other kinds may lack a right that it needs not, so they are forgotten only where none was refused for a day.';

create function private.note_sessions() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- Locked in the order in which ingest does: devices are counted there before messages.
  perform from public.device_integrations i where i.id = new.integration_id for no key update;
  insert into public.integration_facts as f (integration_id, direction, organization_id, failures, failed_at)
  values (
    new.integration_id, 'in', new.organization_id,
    case when new.slots = 1 then new.attempts
         else (select max(s.attempts) from public.integration_schedules s where s.integration_id = new.integration_id) end,
    case when new.attempts > 0 then now() end)
  on conflict (integration_id, direction) do update
    set failures = excluded.failures, failed_at = coalesce(excluded.failed_at, f.failed_at),
        refused = case when excluded.failures = 0 then private.drop_refused(f.refused, 'session') else f.refused end,
        refusals = case when excluded.failures = 0 then private.count_refused(private.drop_refused(f.refused, 'session')) else f.refusals end;
  return null;
end
$$;
comment on function private.note_sessions is 'Keeps how many sessions failed in a row.';
create trigger note_sessions after update of attempts on public.integration_schedules
  for each row when (old.attempts is distinct from new.attempts) execute function private.note_sessions();

create function private.add_gaps(p_before jsonb, p_gaps jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
  -- What was met before, as all is that was rendered and is no gap, may be missing a hundred times.
  select coalesce(jsonb_object_agg(g.key, coalesce((p_before ->> g.key)::bigint, case when p_before is null then 0 else -100 end) + g.value::bigint), '{}')
    from jsonb_each_text(p_gaps) g
$$;
comment on function private.add_gaps is 'The gaps of a template after more events, none of which had what p_gaps, {path: events}, names: what one of them had is a gap no more.';

create function private.note_attempts(p_tally jsonb) returns void
language plpgsql volatile set search_path = '' -- its plans are kept, which those of a SQL function are not
as $$
begin
  insert into public.integration_facts as f (
    integration_id, direction, organization_id, last_at, failed_at, failures, refusals, last_error, certificate_begins, certificate_ends, gaps)
  select e.integration_id, 'out', e.organization_id, case when t.delivered > 0 then now() end, case when t.failed > 0 then now() end,
         t.failed, case when t.last in ('401', '403') then t.failed else 0 end,
         case when t.failed > 0 then left(case when t.last ~ '^\d{3}$' then 'It was answered with ' || t.last || '.' else t.last end, 2000) end,
         to_timestamp(t.certificate[1]), to_timestamp(t.certificate[2]), t.gaps
    from jsonb_to_recordset(p_tally) as t(
      integration_id uuid, delivered bigint, failed bigint, last text, certificate double precision[], gaps jsonb)
    join lateral (select * from public.webhook_endpoints n where n.integration_id = t.integration_id offset 0) e on true
   where t.delivered > 0 or t.failed > 0
   -- Always by id, as judge_endpoints goes on.
   order by e.integration_id
  on conflict (integration_id, direction) do update
    set last_at = coalesce(excluded.last_at, f.last_at), failed_at = coalesce(excluded.failed_at, f.failed_at),
        failures = case when excluded.last_at is not null then 0 else f.failures + excluded.failures end,
        refusals = case when excluded.last_at is not null or excluded.refusals = 0 then 0 else f.refusals + excluded.refusals end,
        last_error = coalesce(excluded.last_error, f.last_error),
        certificate_begins = coalesce(excluded.certificate_begins, f.certificate_begins),
        certificate_ends = coalesce(excluded.certificate_ends, f.certificate_ends),
        gaps = case when excluded.gaps is null then f.gaps else private.add_gaps(f.gaps, excluded.gaps) end;
end
$$;
comment on function private.note_attempts is 'Keeps the facts of what went out, with each batch of attempts, in its transaction.';

create function private.note_certificate(p_integration_id uuid, p_certificate jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_begins timestamptz := to_timestamp((p_certificate ->> 0)::double precision);
  v_ends timestamptz := to_timestamp((p_certificate ->> 1)::double precision);
begin
  -- It changes every few weeks: nothing is locked for what is known.
  if v_ends is null or exists (
    select from public.integration_facts f where f.integration_id = p_integration_id and f.direction = 'in' and f.certificate_ends = v_ends)
  then
    return;
  end if;
  perform from public.device_integrations i where i.id = p_integration_id for no key update;
  insert into public.integration_facts as f (integration_id, direction, organization_id, certificate_begins, certificate_ends)
  select i.id, 'in', i.organization_id, v_begins, v_ends from public.device_integrations i where i.id = p_integration_id
  on conflict (integration_id, direction) do update set certificate_begins = v_begins, certificate_ends = v_ends;
end
$$;
comment on function private.note_certificate is 'Keeps what the API that an integration asks has shown: [begins, ends], seconds since 1970; null is nothing.';

-- Dead letters by when they died: a lease's end is kept as due_at, and no later than a minute after.
create index webhook_deliveries_died on public.webhook_deliveries (integration_id, organization_id, due_at) where status = 'dead';

revoke all on public.integration_facts from public, anon, authenticated, service_role;
revoke execute on function private.count_hour, private.sum_day, private.note_messages, private.count_refused, private.add_refused, private.drop_refused,
  private.note_sessions, private.add_gaps, private.note_attempts, private.note_certificate
  from public, anon, authenticated, service_role;
