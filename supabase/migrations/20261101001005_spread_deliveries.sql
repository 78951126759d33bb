-- What is left to be queued, worked off in steps.

create function private.queue_messages(
  p_organization_id uuid, p_integration_id uuid, p_received_at timestamptz, p_id_end text, p_webhook_id uuid default null
) returns integer
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
  v_queued integer;
begin
  with subscribers as materialized (
    select w.id, r.recipient, w.settings -> 'events' as events, w.settings -> 'device_filter' as device_filter, w.settings ->> 'ordered' as ordered,
           '8' || right(replace(gen_random_uuid()::text, '-', ''), 15) as id_end
      from public.device_integrations w
      cross join lateral unnest(
        case when w.settings ? 'recipients' then private.list_recipients(w.settings) else '{null}'::text[] end) r(recipient)
     where w.organization_id = p_organization_id and (p_webhook_id is null or w.id = p_webhook_id)
       and w.status <> 'inactive' and w.settings ? 'events'
  ),
  told as materialized (
    -- As large as it is where it is not compressed.
    select m.id, m.kind, m.device_id,
           case when pg_column_compression(m.payload) is null then coalesce(pg_column_size(m.payload), 0) else octet_length(m.payload::text) end
             as payload_bytes
      from public.device_messages m
     where m.organization_id = p_organization_id and m.integration_id = p_integration_id
       and m.received_at = p_received_at and right(replace(m.id::text, '-', ''), 16) = p_id_end and m.error is null
  ),
  wanted as materialized (
    select distinct w.id as webhook, k.kind
      from subscribers w, (select distinct t.kind from told t) k where private.wants_event(w.events, k.kind)
  ),
  aimed as materialized (
    select distinct w.id as webhook, d.id as device
      from (select distinct t.device_id as id from told t where exists (select from subscribers f where f.device_filter is not null)) s
      -- By the key alone, and then whose it is: by organization the planner may read all its devices for each.
      join lateral (select * from public.devices n where n.id = s.id offset 0) d on d.organization_id = p_organization_id
      join subscribers w on private.wants_device(w.device_filter, d.id, d.external_id, d.device_type)
     where w.device_filter is not null
  ),
  queued as (
    insert into public.webhook_deliveries (
      id, organization_id, integration_id, event_type, message_id, message_received_at, payload_bytes, ordering_key, recipient)
    -- Time and number as in the message's id, the rest by chance: these ids rise with time too.
    select (left(t.id::text, 18) || w.id_end)::uuid, p_organization_id, w.id, 'device.' || t.kind, t.id, p_received_at, t.payload_bytes,
           case when w.recipient is not null then private.key_person(w.id, w.recipient) else
             case w.ordered when 'device' then coalesce(t.device_id, w.id) when 'integration' then w.id end end,
           w.recipient
      from subscribers w join wanted k on k.webhook = w.id join told t on t.kind = k.kind
     where w.device_filter is null or (w.id, t.device_id) in (select a.webhook, a.device from aimed a)
    returning integration_id
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
    select q.integration_id, p_organization_id, date_trunc('minute', now()), count(*) from queued q group by 1
  )
  select count(*) into v_queued from queued;
  return v_queued;
end
$$;
comment on function private.queue_messages is
  'Queues the messages of a batch for those who subscribe, or for one of them; how many deliveries that made. p_id_end is how the ids of all messages of the batch end.';

create function public.spread_deliveries() returns integer
language plpgsql volatile set search_path = '' set enable_seqscan = off -- its plans are made while nothing is left
as $$
declare
  v_fan_out private.fan_outs;
  v_queued integer;
begin
  -- Any organization that has some, then what is due longest of either kind: those of one are in no other's way, and no alert waits
  -- for messages. Each step asks for the next entry of one index, and then whose it is.
  with recursive lines as (
    (select f.organization_id, f.event_id is null as is_batch from private.fan_outs f order by 1, 2 limit 1)
    union all
    select n.* from lines l cross join lateral (
      select f.organization_id, f.event_id is null from private.fan_outs f
       where (f.organization_id, f.event_id is null) > (l.organization_id, l.is_batch) order by 1, 2 limit 1) n
  )
  select f.* into v_fan_out
    from (
      select n.id
        from lines l cross join lateral (
          select f.* from private.fan_outs f
           where (f.organization_id, f.event_id is null, f.due_at) > (l.organization_id, l.is_batch, '-infinity')
           order by f.organization_id, f.event_id is null, f.due_at, f.id limit 1) n
       where n.organization_id = l.organization_id and (n.event_id is null) = l.is_batch and n.due_at <= now()
       order by random() limit 8) o
    -- Still: another may have tried it, and failed, since it was looked for.
    join private.fan_outs f on f.id = o.id and f.due_at <= now()
   limit 1
     for update of f skip locked;
  if not found then
    return null;
  end if;
  begin
    if v_fan_out.event_id is null then
      v_queued := private.queue_messages(
        v_fan_out.organization_id, v_fan_out.integration_id, v_fan_out.received_at, v_fan_out.id_end, v_fan_out.webhook_id);
    else
      v_queued := private.queue_told(v_fan_out.event_id, array[v_fan_out.webhook_id]);
    end if;
  -- A statement timeout too: nothing that comes after it waits for ever, and its own webhook is late for all to see.
  exception when query_canceled or others then
    update private.fan_outs
       set tries = tries + 1, error = left(sqlstate || ' ' || sqlerrm, 2000),
           due_at = clock_timestamp() + least(interval '5 minutes', make_interval(secs => 2 ^ least(tries, 10)))
     where id = v_fan_out.id;
    return 0;
  end;
  delete from private.fan_outs where id = v_fan_out.id;
  return v_queued;
end
$$;
comment on function public.spread_deliveries is
  'One step of what ingest_messages and queue_event left to be queued: one batch or event for one webhook. How many deliveries that made; null where nothing is left. What fails is '
  'tried again after a pause that grows to five minutes; what is ordered waits for it until it has failed six times.';

create function private.find_unspread(p_organization_id uuid, p_integration_id uuid) returns timestamptz
language plpgsql stable security definer set search_path = '' set enable_seqscan = off -- its plan is made while nothing is left
as $$
begin
  return (
    select f.created_at from (select n.* from private.fan_outs n where n.webhook_id = p_integration_id order by n.created_at limit 1) f
     where f.organization_id = p_organization_id);
end
$$;
comment on function private.find_unspread is 'Since when something is to be queued for a webhook; null where nothing is.';

revoke execute on function private.queue_messages, private.find_unspread, public.spread_deliveries from public, anon, authenticated, service_role;
