-- Leasing deliveries and taking their results: fair over webhooks, within the bounds of each, fenced by a token.

create function private.find_queue(p_after uuid) returns uuid
language sql stable set search_path = ''
as $$
  select d.integration_id from public.webhook_deliveries d
   where d.integration_id > p_after and d.stage is not null
   order by d.integration_id, d.stage, d.due_at
   limit 1
$$;
comment on function private.find_queue is 'The next webhook by id that has something open.';

create function private.list_queues(p_most integer) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  -- From anywhere on and round: however many wait, one call looks at so many, and all get their turn.
  return array(
  with recursive start as (select gen_random_uuid() as id),
  above as (
    select private.find_queue(s.id) as id from start s
    union all
    select private.find_queue(a.id) from above a where a.id is not null
  ),
  below as (
    select private.find_queue('00000000-0000-0000-0000-000000000000') as id
    union all
    select private.find_queue(b.id) from below b, start s where b.id <= s.id
  )
  select a.id from above a where a.id is not null
  union all
  select b.id from below b, start s where b.id <= s.id
  limit p_most);
end
$$;
comment on function private.list_queues is 'Webhooks that have something open, found by the index alone: one step each, whatever the length of their queues.';

create function private.lock_endpoints(p_integration_ids uuid[]) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
declare
  v_locked uuid[];
begin
  insert into public.webhook_endpoints (integration_id, organization_id)
  select i.id, i.organization_id
    from public.device_integrations i
   where i.id = any (p_integration_ids)
     and not exists (select from public.webhook_endpoints e where e.integration_id = i.id)
   order by i.id
  on conflict do nothing;
  select array_agg(l.integration_id) into v_locked
    from (
      select e.integration_id from public.webhook_endpoints e
       where e.integration_id = any (p_integration_ids)
       -- Not for update: who records what was sent refers to these rows, and neither is to wait for the other.
       for no key update skip locked
    ) l;
  return v_locked;
end
$$;
comment on function private.lock_endpoints is 'Those of the webhooks that no other dispatcher is leasing for just now, locked.';

create function private.return_expired(p_integration_ids uuid[]) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  if not exists (
    select from public.webhook_deliveries d
     where d.integration_id = any (p_integration_ids) and d.stage = 2 and d.due_at <= now()
  ) then
    return;
  end if;
  with expired as (
    update public.webhook_deliveries d
       set status = case when d.attempts < private.count_tries(i.settings) then 'pending' else 'dead' end, lease_token = null
      from public.device_integrations i
     where d.integration_id = any (p_integration_ids) and d.stage = 2 and d.due_at <= now() and i.id = d.integration_id
    returning d.id, d.integration_id, d.organization_id, d.attempts, d.due_at
  ),
  recorded as (
    insert into public.webhook_attempts (delivery_id, organization_id, attempt, started_at, milliseconds, error)
    select e.id, e.organization_id, e.attempts, e.due_at, 0,
           'lease_lost: Whoever sent it ended before it could record the answer; the endpoint may have heard it.'
      from expired e
  )
  insert into private.webhook_sends as s (integration_id, second, sent)
  select e.integration_id, date_trunc('second', e.due_at), count(*) from expired e group by 1, 2 order by 1, 2
  on conflict (integration_id, second) do update set sent = s.sent + excluded.sent;
end
$$;
comment on function private.return_expired is
  'Deliveries whose lease ran out are due again, or dead after the last try; for the rate they count as sent until the lease ended.';

create function private.find_heads(p_integration_id uuid, p_limit integer)
returns table (id uuid, due_at timestamptz, payload_bytes integer)
language sql volatile set search_path = ''
as $$
  -- From any key on and round, and no further than a thousand: however many wait, all get their turn.
  with recursive start as (select gen_random_uuid() as key),
  above as (
    select n.* from start s cross join lateral (
      select d.ordering_key, d.id, d.stage, d.due_at, d.payload_bytes from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.ordering_key > s.key and d.stage is not null
       order by d.ordering_key, d.message_id
       limit 1) n
    union all
    select n.* from above a cross join lateral (
      select d.ordering_key, d.id, d.stage, d.due_at, d.payload_bytes from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.ordering_key > a.ordering_key and d.stage is not null
       order by d.ordering_key, d.message_id
       limit 1) n
  ),
  below as (
    (select d.ordering_key, d.id, d.stage, d.due_at, d.payload_bytes from public.webhook_deliveries d
      where d.integration_id = p_integration_id and d.ordering_key is not null and d.stage is not null
      order by d.ordering_key, d.message_id
      limit 1)
    union all
    select n.* from below b cross join lateral (
      select d.ordering_key, d.id, d.stage, d.due_at, d.payload_bytes from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.ordering_key > b.ordering_key and d.stage is not null
       order by d.ordering_key, d.message_id
       limit 1) n
     where b.ordering_key <= (select s.key from start s)
  ),
  heads as (
    select a.* from above a
    union all
    select b.* from below b where b.ordering_key <= (select s.key from start s)
    limit 1000
  )
  select h.id, h.due_at, h.payload_bytes from heads h where h.stage = 3 and h.due_at <= now() order by h.due_at limit p_limit
$$;
comment on function private.find_heads is 'The oldest open delivery of up to a thousand ordering keys, where it is due and not under way.';

create function private.pick_shares(
  p_integration_ids uuid[], p_limit integer, p_bytes integer, p_depth integer, out picked uuid[], out more boolean
)
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  -- One statement sees one moment: what has just ended is either under way or sent, never neither.
  with rooms as materialized (
    select e.integration_id, e.leased_at, i.status <> 'inactive' as active,
           greatest(0, least(
             p_limit,
             case when e.circuit = 'closed' then private.read_bound(i.settings, 'max_concurrent', 10, 1000) else 1 end - u.flying,
             private.read_bound(i.settings, 'rate_limit_per_minute', 100, 10000000) - u.flying - r.sent))::integer as room
      from public.webhook_endpoints e
      join public.device_integrations i on i.id = e.integration_id
      cross join lateral (
        select count(*) as flying from public.webhook_deliveries d where d.integration_id = e.integration_id and d.stage = 2) u
      cross join lateral (
        select coalesce(sum(s.sent), 0) as sent from private.webhook_sends s
         where s.integration_id = e.integration_id and s.second > now() - interval '61 seconds') r
     where e.integration_id = any (p_integration_ids) and i.settings ? 'events'
       and (e.circuit = 'closed' or e.probe_at <= now())
  ),
  shares as (
    select f.id, f.n, f.payload_bytes, r.leased_at, f.n = p_depth and r.room > p_depth as more
      from (select *, least(room, p_depth) as reach from rooms where room > 0) r
      cross join lateral (
        select w.id, w.payload_bytes, row_number() over (order by w.turn) as n
          from (
            (select d.id, d.payload_bytes, d.due_at as turn from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.stage = 0 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            -- First tries before retries, but not for ever.
            (select d.id, d.payload_bytes, d.due_at + interval '10 minutes' from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.stage = 1 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            select h.id, h.payload_bytes, h.due_at
              from (select from public.webhook_deliveries d where d.integration_id = r.integration_id and d.stage = 3 limit 1) ordered
              cross join lateral private.find_heads(r.integration_id, r.reach) h
             where r.active
            union all
            (select d.id, d.payload_bytes, d.due_at from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.stage = 4 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            -- A replay was asked for by somebody: it goes out while the webhook is switched off, too.
            (select d.id, d.payload_bytes, d.due_at from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.replayed_at is not null and d.status = 'pending'
                and d.due_at <= now() and not r.active
              order by d.due_at limit r.reach)
          ) w
         order by w.turn
         limit r.reach
      ) f
     order by f.n, r.leased_at
     limit p_limit
  ),
  fitting as (
    select s.*, sum(s.payload_bytes) over (order by s.n, s.leased_at, s.id) - s.payload_bytes < p_bytes as fits from shares s
  )
  select array_agg(f.id) filter (where f.fits), bool_or(f.more) and bool_and(f.fits) into picked, more from fitting f;
end
$$;
comment on function private.pick_shares is
  'Up to p_limit and p_bytes that may go out now and up to p_depth of each webhook, and whether p_depth left out any that might.';

create function private.pick_deliveries(p_integration_ids uuid[], p_limit integer, p_bytes integer) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
declare
  -- Where many webhooks wait, a few of each fill the batch, and looking deeper into their queues would cost for nothing.
  v_depth integer := 1 + p_limit / cardinality(p_integration_ids);
  v_shares record;
begin
  loop
    v_shares := private.pick_shares(p_integration_ids, p_limit, p_bytes, v_depth);
    exit when v_shares.more is not true or cardinality(v_shares.picked) = p_limit;
    v_depth := v_depth * 4;
  end loop;
  return v_shares.picked;
end
$$;
comment on function private.pick_deliveries is
  'What may go out now: one for each webhook, then the second of each, and so on, those first that waited longest.';

create function public.lease_deliveries(p_limit integer, p_lease_seconds integer, p_bytes integer default 8388608) returns json
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_token uuid := gen_random_uuid();
  v_locked uuid[];
  v_picked uuid[];
  v_leased json;
begin
  v_locked := private.lock_endpoints(private.list_queues(500));
  if v_locked is null then
    return '{"integrations": {}, "deliveries": []}';
  end if;
  perform private.return_expired(v_locked);
  delete from private.webhook_sends where integration_id = any (v_locked) and second < now() - interval '2 minutes';
  v_picked := private.pick_deliveries(v_locked, p_limit, p_bytes);
  with leased as (
    update public.webhook_deliveries d
       set status = 'delivering', attempts = d.attempts + 1, lease_token = v_token,
           due_at = now() + make_interval(secs => p_lease_seconds)
     where d.id = any (v_picked) and d.status = 'pending'
    returning d.*
  ),
  served as (
    update public.webhook_endpoints e set leased_at = clock_timestamp()
     where e.integration_id = any (array(select distinct l.integration_id from leased l))
  ),
  subscribers as (
    select i.id, i.organization_id, i.integration_type, i.name, i.settings, i.api_key_encrypted
      from public.device_integrations i
     where i.id in (select l.integration_id from leased l)
  )
  select json_build_object(
    'integrations', coalesce((select json_object_agg(s.id, to_json(s)) from subscribers s), '{}'),
    'deliveries', coalesce((
      select json_agg(json_build_object(
               'id', l.id, 'lease_token', l.lease_token, 'integration_id', l.integration_id, 'attempts', l.attempts,
               'payload_bytes', l.payload_bytes,
               'event_type', l.event_type, 'kind', m.kind, 'topic', m.topic, 'payload', m.payload,
               'observed_at', m.observed_at, 'source', json_build_object(
                 'integration_id', m.integration_id, 'integration_type', o.integration_type, 'name', o.name),
               'device', case when coalesce(v.external_id, m.external_id) is not null then
                 json_build_object('id', v.id, 'external_id', coalesce(v.external_id, m.external_id), 'name', v.name) end)
             order by l.created_at, l.id)
        from leased l
        left join public.device_messages m on m.id = l.message_id and m.received_at = l.message_received_at
        left join public.device_integrations o on o.organization_id = m.organization_id and o.id = m.integration_id
        left join public.devices v on v.organization_id = m.organization_id and v.id = m.device_id), '[]'))
    into v_leased;
  return v_leased;
end
$$;
comment on function public.lease_deliveries is
  'Takes due deliveries, fairly over webhooks and within each one''s rate, concurrency and circuit, with their messages and the sealed config of their webhooks. Together their payloads have about p_bytes, or are one.';

create function private.judge_endpoints(p_tally jsonb) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  -- Always by id, so that two that finish at once never wait for each other in a circle.
  perform private.judge_endpoint(t.integration_id, t.delivered, t.failed, t.gone, t.unusable, t.last)
    from jsonb_to_recordset(p_tally) as t(
      integration_id uuid, delivered bigint, failed bigint, gone boolean, unusable text, last text)
    join public.webhook_endpoints e on e.integration_id = t.integration_id
   where t.failed > 0 or t.unusable is not null or e.failures > 0 or e.circuit <> 'closed'
   order by t.integration_id;
end
$$;
comment on function private.judge_endpoints is 'Judges each endpoint of a batch; most have nothing but successes, before and now, and cost nothing.';

create function public.finish_deliveries(p_results jsonb) returns jsonb
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_counts jsonb;
  v_tally jsonb;
begin
  with results as (
    select r.* from jsonb_to_recordset(p_results) as r(
      id uuid, lease_token uuid, outcome text, retry_seconds double precision, started_at timestamptz,
      milliseconds integer, status_code integer, error text, reply text)
  ),
  finished as (
    update public.webhook_deliveries d
       set status = case when r.outcome in ('retry', 'unsent') then 'pending' else r.outcome end,
           due_at = case r.outcome when 'retry' then now() + r.retry_seconds * interval '1 second' when 'unsent' then now() else d.due_at end,
           attempts = d.attempts - (r.outcome = 'unsent')::integer,
           lease_token = null
      from results r
     where d.id = r.id and d.lease_token = r.lease_token and d.status = 'delivering'
       and r.outcome in ('delivered', 'retry', 'dead', 'unsent')
    returning d.id, d.integration_id, d.organization_id, d.attempts, d.replayed_at is not null as replayed, r.outcome, r.started_at, r.milliseconds, r.status_code,
      r.error, r.reply
  ),
  recorded as (
    insert into public.webhook_attempts
      (delivery_id, organization_id, attempt, started_at, milliseconds, status_code, error, reply)
    select f.id, f.organization_id, f.attempts, f.started_at, f.milliseconds, f.status_code, f.error, f.reply
      from finished f
     where f.outcome <> 'unsent'
  ),
  tally as (
    select f.integration_id,
           count(*) filter (where f.outcome = 'delivered') as delivered,
           count(*) filter (where f.outcome <> 'unsent') as heard,
           count(*) filter (where f.outcome in ('retry', 'dead') and not f.replayed) as failed,
           coalesce(bool_or(f.status_code = 410), false) as gone,
           max(f.error) filter (where f.outcome = 'unsent') as unusable,
           max(coalesce(f.error, f.status_code::text)) filter (where f.outcome in ('retry', 'dead')) as last
      from finished f
     group by f.integration_id
  ),
  sent as (
    insert into private.webhook_sends as s (integration_id, second, sent)
    select t.integration_id, date_trunc('second', now()), t.heard
      from tally t join public.webhook_endpoints e on e.integration_id = t.integration_id
     where t.heard > 0
     order by t.integration_id
    on conflict (integration_id, second) do update set sent = s.sent + excluded.sent
  )
  select jsonb_build_object(
           'delivered', count(*) filter (where f.outcome = 'delivered'),
           'retried', count(*) filter (where f.outcome = 'retry'),
           'dead', count(*) filter (where f.outcome = 'dead'),
           'unsent', count(*) filter (where f.outcome = 'unsent'),
           'late', (select count(*) from results) - count(*)),
         (select jsonb_agg(to_jsonb(t)) from tally t)
    into v_counts, v_tally
    from finished f;
  perform private.judge_endpoints(v_tally);
  return v_counts;
end
$$;
comment on function public.finish_deliveries is
  'Records a batch of attempts, moves their deliveries on and judges their endpoints. Outcomes: delivered, retry, dead, and unsent where the webhook itself can''t be used (no attempt is counted). A result whose lease was lost is counted as late and changes nothing.';

revoke execute on function private.find_queue, private.list_queues, private.lock_endpoints, private.return_expired,
  private.find_heads, private.pick_shares, private.pick_deliveries, private.judge_endpoints from public;
grant execute on function private.find_queue, private.list_queues, private.lock_endpoints, private.return_expired,
  private.find_heads, private.pick_shares, private.pick_deliveries, private.judge_endpoints to service_role;
revoke execute on function public.lease_deliveries, public.finish_deliveries from public, anon, authenticated;
grant execute on function public.lease_deliveries, public.finish_deliveries to service_role;
