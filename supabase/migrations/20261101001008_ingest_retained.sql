-- What a broker has kept and sends to whoever subscribes: the last word on a topic, not a sign of life.

create function private.find_last_words(p_integration_id uuid, p_device_id uuid, p_topics jsonb)
returns table (topic text, event_id text, payload jsonb, raw text, received_at timestamptz)
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_sort = off -- the plan is kept, though it may be made while the tables are still empty
as $$
declare
  v_left jsonb := p_topics;
  v_back no scroll cursor for
    select m.topic, m.event_id, m.payload, m.raw, m.received_at
      from (
        select d.event_id, d.payload, d.raw, d.received_at, d.topic, d.integration_id
          from public.device_messages d
         where d.device_id = p_device_id
         order by d.received_at desc, d.id desc
         limit 10000) m
     where p_topics ? m.topic and m.integration_id = p_integration_id;
begin
  -- One way back for all topics, one by one: it ends where the last of them is found, mostly after a few messages.
  open v_back;
  while v_left <> '{}' loop
    fetch v_back into topic, event_id, payload, raw, received_at;
    exit when not found;
    if v_left ? topic then
      return next;
      v_left := v_left - topic;
    end if;
  end loop;
  close v_back;
end
$$;
comment on function private.find_last_words is
  'The last message of the device on each of the topics, the keys of p_topics, among the last 10,000 that it sent.';

create function public.ingest_retained(
  p_integration_id uuid, p_messages jsonb, p_lease_token uuid default null, p_lease_seconds integer default null,
  p_state jsonb default null, p_bytes bigint default 0
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  -- The ledger forgets after seven days.
  v_old timestamptz := now() - interval '6 days';
  v_judged jsonb;
  v_fresh jsonb;
  v_counts jsonb;
  v_repeated integer;
begin
  with incoming as materialized (
    select m.message, m.n, m.message ->> 'device' as device, coalesce(m.message -> 'retained' = 'true', false) as retained,
           d.id as device_id, d.status, d.last_seen_at,
           case
             -- Silence is told by when a device was last heard of, so one that never was would be online for ever.
             when m.message -> 'retained' = 'true' and m.message ->> 'device_status' = 'online' and d.last_seen_at is null then 'unknown'
             else m.message ->> 'device_status'
           end as said
      from jsonb_array_elements(p_messages) with ordinality as m(message, n)
      left join lateral (
        select e.id, e.status, e.last_seen_at from public.devices e
         where e.integration_id = p_integration_id and e.external_id = m.message ->> 'device' limit 1) d on true
  ),
  words as materialized (
    select a.device_id, w.*
      from (
        select i.device_id, jsonb_object_agg(i.message ->> 'topic', true) as topics from incoming i
         where i.retained and i.device_id is not null and i.message ->> 'topic' is not null
         group by i.device_id) a
      cross join lateral private.find_last_words(p_integration_id, a.device_id, a.topics) w
  ),
  known as materialized (
    select i.n, w.event_id, w.received_at, w.event_id is not null as found,
           w.payload is not distinct from nullif(i.message -> 'payload', 'null') and w.raw is not distinct from i.message ->> 'raw' as same
      from incoming i
      left join words w on i.retained and w.device_id = i.device_id and w.topic = i.message ->> 'topic'
  )
  select jsonb_agg(jsonb_build_object(
           'n', i.n, 'device', i.device, 'retained', i.retained, 'status', i.status, 'last_seen_at', i.last_seen_at,
           'said', i.said, 'repeated', k.found and k.same and k.received_at < v_old,
           'message', case when i.retained then i.message || jsonb_build_object(
             'device_status', coalesce(i.said, i.status, 'unknown'),
             'event_id', case
               when k.found and k.same then k.event_id
               -- It was said before, then something else, and now again.
               when k.found and i.said is not null
                 then (i.message ->> 'event_id') || '@' || (extract(epoch from k.received_at) * 1000000)::bigint
               else i.message ->> 'event_id' end)
             else i.message end)
           -- What is live says more of whether a device is there, so it comes last.
           order by i.retained desc, i.n)
    into v_judged
    from incoming i join known k on k.n = i.n;

  select coalesce(jsonb_agg(j -> 'message' order by n) filter (where not (j ->> 'repeated')::boolean), '[]'),
         count(*) filter (where (j ->> 'repeated')::boolean)
    into v_fresh, v_repeated
    from jsonb_array_elements(v_judged) with ordinality as t(j, n);

  v_counts := public.ingest_messages(p_integration_id, v_fresh, p_lease_token, p_lease_seconds, p_state, p_bytes => p_bytes);
  -- The bytes of a batch that has nothing else are counted with these.
  perform private.count_duplicates(
    (select i.organization_id from public.device_integrations i where i.id = p_integration_id), p_integration_id, v_repeated,
    case when v_fresh = '[]' then p_bytes else 0 end);

  with quiet as (
    select j ->> 'device' as device, (array_agg((j ->> 'last_seen_at')::timestamptz))[1] as last_seen_at,
           (array_agg(j ->> 'said' order by j -> 'n' desc) filter (where j ->> 'said' is not null))[1] as said
      from jsonb_array_elements(v_judged) j
     where j ->> 'device' is not null
     group by j ->> 'device'
    having bool_and((j ->> 'retained')::boolean)
  )
  update public.devices d
     set last_seen_at = q.last_seen_at, status = coalesce(q.said, d.status)
    from quiet q
   where d.integration_id = p_integration_id and d.external_id = q.device
     and (d.last_seen_at is distinct from q.last_seen_at or d.status is distinct from coalesce(q.said, d.status));

  return v_counts || jsonb_build_object(
    'received', (v_counts ->> 'received')::integer + v_repeated, 'duplicates', (v_counts ->> 'duplicates')::integer + v_repeated);
end
$$;
comment on function public.ingest_retained is
  'As ingest_messages, for batches with messages that are {"retained": true}: one that is the last word on its topic already is a duplicate, whatever its event_id; none makes its device online or seen, and a status that it says is taken over all the same, but for "online" of one that was never heard of, which is unknown.';

create function public.confirm_session(p_integration_id uuid, p_lease_token uuid, p_connect_ms double precision default 0)
returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  update public.device_integrations i
     set status = 'active', error_message = null, sync_status = 'ok'
    from public.integration_schedules s
   where i.id = p_integration_id and i.status = 'error' and s.integration_id = i.id and s.lease_token = p_lease_token
     and (s.slots = 1 or not private.is_failing(i.id, s.slot))
  returning i.organization_id into v_organization_id;
  if found then
    insert into public.integration_activity (organization_id, integration_id, kind, message)
    values (v_organization_id, p_integration_id, 'session.recovered', 'The connection works again.');
  end if;
  with connected as (
    update public.integration_schedules s set connected_to = now()
     where s.integration_id = p_integration_id and s.lease_token = p_lease_token
    returning s.organization_id
  )
  insert into private.metric_tallies (integration_id, organization_id, minute, connects, connect_ms_sum)
  select p_integration_id, c.organization_id, date_trunc('minute', now()), 1, p_connect_ms from connected c;
end
$$;
comment on function public.confirm_session is
  'Says that the session under this lease has connected: what failed before is over, and shows no longer; from here on it counts as connected.';

revoke execute on function private.find_last_words, public.ingest_retained, public.confirm_session
  from public, anon, authenticated, service_role;
