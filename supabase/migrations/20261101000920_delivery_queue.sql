-- Which deliveries may go out now: within the rate, the concurrency and the circuit of each webhook.

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
     -- One that is being deleted just now would have everybody's leases wait for that.
     for key share of i skip locked
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
declare
  v_expired uuid[];
begin
  -- Webhook by webhook along the queue: looked for by the webhook alone, they would be looked for among all that wait.
  v_expired := array(
    select x.id from public.webhook_endpoints e cross join lateral (
      select d.id from public.webhook_deliveries d
       where d.organization_id = e.organization_id and d.integration_id = e.integration_id and d.stage = 2 and d.due_at <= now()
       order by d.due_at limit 100) x
     where e.integration_id = any (p_integration_ids)
     order by e.leased_at
     -- However many a process left behind: who leases for others too returns the rest with the next leases.
     limit 500);
  if v_expired = '{}' then
    return;
  end if;
  with expired as (
    update public.webhook_deliveries d
       set status = case when d.attempts < private.count_tries(i.settings) then 'pending' else 'dead' end, lease_token = null
      from public.device_integrations i
     where d.id = any (v_expired) and d.stage = 2 and d.due_at <= now()
       and i.id = d.integration_id and i.organization_id = d.organization_id
    returning d.id, d.integration_id, d.organization_id, d.attempts, d.due_at, d.status
  ),
  recorded as (
    insert into public.webhook_attempts (delivery_id, organization_id, attempt, started_at, milliseconds, error)
    select e.id, e.organization_id, e.attempts, e.due_at, 0,
           'lease_lost: Whoever sent it ended before it could record the answer; the endpoint may have heard it.'
      from expired e
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, attempts, dead, answers, errors)
    select e.integration_id, e.organization_id, date_trunc('minute', now()), count(*), count(*) filter (where e.status = 'dead'),
           array[count(*), 0, 0, 0, 0], jsonb_build_object('lease_lost', count(*))
      from expired e group by 1, 2
  )
  insert into private.webhook_sends as s (integration_id, second, sent)
  select e.integration_id, date_trunc('second', e.due_at), count(*) from expired e group by 1, 2 order by 1, 2
  on conflict (integration_id, second) do update set sent = s.sent + excluded.sent;
end
$$;
comment on function private.return_expired is
  'Deliveries whose lease ran out are due again, or dead after the last try; for the rate they count as sent until the lease ended.';

create function private.find_heads(p_organization_id uuid, p_integration_id uuid, p_limit integer, p_most integer)
returns table (id uuid, due_at timestamptz, payload_bytes integer)
language sql volatile set search_path = ''
as $$
  -- From any key on and round, and no further than p_most: however many wait, all get their turn. Each step asks for the next
  -- entry of one index and then whose it is: told whose it must be, the planner may read and sort all that wait.
  with recursive start as (select gen_random_uuid() as key),
  above as (
    select n.ordering_key, n.id, n.message_id, n.stage, n.due_at, n.payload_bytes from start s cross join lateral (
      select d.* from public.webhook_deliveries d
       where (d.integration_id, d.organization_id, d.ordering_key) > (p_integration_id, p_organization_id, s.key)
         and d.ordering_key is not null and d.stage is not null
       order by d.integration_id, d.organization_id, d.ordering_key, d.message_id
       limit 1) n
     where n.integration_id = p_integration_id and n.organization_id = p_organization_id
    union all
    select n.ordering_key, n.id, n.message_id, n.stage, n.due_at, n.payload_bytes from above a cross join lateral (
      select d.* from public.webhook_deliveries d
       where (d.integration_id, d.organization_id, d.ordering_key) > (p_integration_id, p_organization_id, a.ordering_key)
         and d.ordering_key is not null and d.stage is not null
       order by d.integration_id, d.organization_id, d.ordering_key, d.message_id
       limit 1) n
     where n.integration_id = p_integration_id and n.organization_id = p_organization_id
  ),
  below as (
    (select n.ordering_key, n.id, n.message_id, n.stage, n.due_at, n.payload_bytes from (
       select d.* from public.webhook_deliveries d
        where (d.integration_id, d.organization_id) >= (p_integration_id, p_organization_id)
          and d.ordering_key is not null and d.stage is not null
        order by d.integration_id, d.organization_id, d.ordering_key, d.message_id
        limit 1) n
      where n.integration_id = p_integration_id and n.organization_id = p_organization_id)
    union all
    select n.ordering_key, n.id, n.message_id, n.stage, n.due_at, n.payload_bytes from below b cross join lateral (
      select d.* from public.webhook_deliveries d
       where (d.integration_id, d.organization_id, d.ordering_key) > (p_integration_id, p_organization_id, b.ordering_key)
         and d.ordering_key is not null and d.stage is not null
       order by d.integration_id, d.organization_id, d.ordering_key, d.message_id
       limit 1) n
     where n.integration_id = p_integration_id and n.organization_id = p_organization_id
       and b.ordering_key <= (select s.key from start s)
  ),
  heads as (
    select a.* from above a
    union all
    select b.* from below b where b.ordering_key <= (select s.key from start s)
    limit p_most
  )
  select h.id, h.due_at, h.payload_bytes
    from heads h
    -- Nothing overtakes what is still to be queued.
    left join (
      select n.first_id from private.fan_outs n where n.webhook_id = p_integration_id and n.tries <= 5 order by n.first_id limit 1) u
      on true
   where h.stage = 3 and h.due_at <= now() and (u.first_id is null or h.message_id < u.first_id)
   order by h.due_at limit p_limit
$$;
comment on function private.find_heads is 'The oldest open delivery of up to p_most ordering keys, where it is due and not under way, and nothing before it is still to be queued.';

create function private.pick_shares(
  p_integration_ids uuid[], p_limit integer, p_bytes integer, p_depth integer, p_shares jsonb, out picked uuid[],
  out organizations uuid[], out more boolean, out is_full boolean
)
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  -- One statement sees one moment: what has just ended is either under way or sent, never neither.
  with rooms as materialized (
    select e.organization_id, e.integration_id, e.leased_at, t.served_at, private.count_bytes(i.settings, n.sealed_sent, n.sealed_kept) as config_bytes,
           i.status <> 'inactive' as active, h.share,
           greatest(0, least(
             h.share,
             case when e.circuit = 'closed' then private.read_bound(i.settings, 'max_concurrent', 10, 1000) else 1 end - u.flying,
             private.read_bound(i.settings, 'rate_limit_per_minute', 100, 10000000) - u.flying - r.sent))::integer as room
      from public.webhook_endpoints e
      -- By its key alone, and then whose it is: by organization the planner would read all that it has for each.
      join lateral (select * from public.device_integrations x where x.id = e.integration_id offset 0) i on i.organization_id = e.organization_id
      join lateral (select * from private.sealed_integrations x where x.id = e.integration_id offset 0) n on n.organization_id = e.organization_id
      join private.delivery_turns t on t.organization_id = e.organization_id
      cross join lateral (
        select count(*) as flying from public.webhook_deliveries d
         where d.integration_id = e.integration_id and d.organization_id = e.organization_id and d.stage = 2) u
      cross join lateral (
        select coalesce(sum(s.sent), 0) as sent from private.webhook_sends s
         where s.integration_id = e.integration_id and s.second > now() - interval '61 seconds') r
      -- Once for a webhook, not once for a delivery: a call takes longer than all else of this does for one.
      cross join lateral (select private.read_share(p_shares, e.organization_id, p_limit) as share offset 0) h
     where e.integration_id = any (p_integration_ids) and i.settings ? 'events'
       and (e.circuit = 'closed' or e.probe_at <= now())
  ),
  shares as (
    select f.id, f.n, f.payload_bytes + case f.n when 1 then r.config_bytes else 0 end as bytes, r.organization_id, r.served_at, r.share,
           f.n = p_depth and r.room > p_depth as more,
           row_number() over (partition by r.organization_id order by f.n, r.leased_at, f.id) as round
      from (select *, least(room, p_depth) as reach from rooms where room > 0) r
      cross join lateral (
        select w.id, w.payload_bytes, row_number() over (order by w.turn) as n
          from (
            (select d.id, d.payload_bytes, d.due_at as turn from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.organization_id = r.organization_id and d.stage = 0 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            -- First tries before retries, but not for ever.
            (select d.id, d.payload_bytes, d.due_at + interval '10 minutes' from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.organization_id = r.organization_id and d.stage = 1 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            select h.id, h.payload_bytes, h.due_at
              from (select from public.webhook_deliveries d 
                    where d.integration_id = r.integration_id and d.organization_id = r.organization_id and d.stage = 3 limit 1) ordered
              cross join lateral private.find_heads(
                r.organization_id, r.integration_id, r.reach, greatest(r.reach, least(1000, 5000 / cardinality(p_integration_ids)))) h
             where r.active
            union all
            (select d.id, d.payload_bytes, d.due_at from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.organization_id = r.organization_id and d.stage = 4 and d.due_at <= now() and r.active
              order by d.due_at limit r.reach)
            union all
            -- A replay was asked for by somebody: it goes out while the webhook is switched off, too.
            (select d.id, d.payload_bytes, d.due_at from public.webhook_deliveries d
              where d.integration_id = r.integration_id and d.organization_id = r.organization_id and d.replayed_at is not null
                and d.status = 'pending'
                and d.due_at <= now() and not r.active
              order by d.due_at limit r.reach)
          ) w
         order by w.turn
         limit r.reach
      ) f
  ),
  chosen as (
    select s.*, row_number() over (order by s.round, s.served_at, s.id) as place
      from shares s
     where s.round <= s.share
     order by s.round, s.served_at, s.id
     limit p_limit
  ),
  fitting as (
    select c.*, sum(c.bytes) over (order by c.place) - c.bytes < p_bytes as fits from chosen c
  )
  select array_agg(f.id) filter (where f.fits), array_agg(distinct f.organization_id) filter (where f.fits),
         bool_or(f.more) and bool_and(f.fits), count(*) = p_limit or not bool_and(f.fits)
    into picked, organizations, more, is_full
    from fitting f;
end
$$;
comment on function private.pick_shares is
  'Up to p_limit and p_bytes that may go out now and up to p_depth of each webhook; one of each organization, then the second of each, and '
  'so on, those first that were served longest ago. Whether p_depth left out any that might, and whether a bound cut off the others.';

create function private.pick_deliveries(
  p_integration_ids uuid[], p_limit integer, p_bytes integer, p_shares jsonb, out picked uuid[], out organizations uuid[],
  out is_full boolean
)
language plpgsql volatile set search_path = ''
as $$
declare
  -- Where many webhooks wait, a few of each fill the batch, and looking deeper into their queues would cost for nothing.
  v_depth integer := 1 + p_limit / cardinality(p_integration_ids);
  v_shares record;
begin
  loop
    v_shares := private.pick_shares(p_integration_ids, p_limit, p_bytes, v_depth, p_shares);
    exit when v_shares.more is not true or cardinality(v_shares.picked) = p_limit;
    v_depth := v_depth * 4;
  end loop;
  picked := coalesce(v_shares.picked, '{}');
  organizations := coalesce(v_shares.organizations, '{}');
  is_full := coalesce(v_shares.is_full, false);
end
$$;
comment on function private.pick_deliveries is 'As pick_shares, as deep as it takes.';

create function private.pick_turns(p_limit integer, p_bytes integer, p_shares jsonb) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan -- for all that it calls, too
as $$
declare
  v_line uuid[] := private.list_line(p_shares);
  v_picked uuid[] := '{}';
  v_round integer := 0;
  v_next integer := 1;
  v_many integer;
  v_looked uuid[];
  v_locked uuid[];
  v_turn record;
begin
  while v_next <= cardinality(v_line) and cardinality(v_picked) < p_limit and v_round < 12 loop
    v_round := v_round + 1;
    -- About four of each organization; more organizations at a time where these have too little.
    v_many := greatest(4, (p_limit - cardinality(v_picked) + 3) / 4) * case when v_round > 2 then 4 else 1 end;
    v_looked := private.take_places(v_line[v_next:v_next + v_many - 1]);
    v_next := v_next + v_many;
    continue when v_looked = '{}';
    v_locked := private.lock_endpoints(private.list_queues(v_looked, greatest(16, 512 / cardinality(v_looked))));
    if v_locked is null then
      perform private.end_turn(v_looked, '{}', false);
      continue;
    end if;
    perform private.return_expired(v_locked);
    delete from private.webhook_sends where integration_id = any (v_locked) and second < now() - interval '2 minutes';
    v_turn := private.pick_deliveries(v_locked, p_limit - cardinality(v_picked), p_bytes, p_shares);
    v_picked := v_picked || v_turn.picked;
    perform private.end_turn(v_looked, v_turn.organizations, v_turn.is_full);
    exit when v_turn.is_full;
  end loop;
  return v_picked;
end
$$;
comment on function private.pick_turns is 'What may go out now, in turns of a few organizations each, until there is enough or all have been looked at.';

revoke execute on function private.lock_endpoints, private.return_expired,
  private.find_heads, private.pick_shares, private.pick_deliveries, private.pick_turns
  from public, anon, authenticated, service_role;
