-- The one way in: a batch of normalised messages, in one transaction with its devices, deliveries, counts and state.

create function public.ingest_messages(
  p_integration_id uuid, p_messages jsonb, p_lease_token uuid default null, p_lease_seconds integer default null,
  p_state jsonb default null, p_name_duplicates boolean default false, p_received_at timestamptz default null,
  p_bytes bigint default 0
) returns jsonb
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan -- planning took a tenth of a batch
set enable_seqscan = off -- the plan is kept, though it may be made while a table is still empty
as $$
declare
  v_integration public.device_integrations;
  v_provision boolean;
  v_received_at timestamptz := coalesce(p_received_at, now());
  -- UUID version 7 (RFC 9562), as Postgres 15 has none: ids that rise with time keep the index's pages together.
  v_id_start text := lpad(to_hex((extract(epoch from v_received_at) * 1000)::bigint), 12, '0');
  v_id_end text := '8' || right(replace(gen_random_uuid()::text, '-', ''), 15);
  v_subscribers bigint;
  v_is_wide boolean;
  v_connected_to timestamptz;
  v_fresh boolean[];
  v_count record;
begin
  if jsonb_array_length(p_messages) > 4000 then
    raise exception 'A batch holds at most 4000 messages; send it in parts.' using errcode = '22023';
  end if;

  if p_lease_token is not null then
    perform private.bound_state('state', p_state);
    update public.integration_schedules
       set state = coalesce(p_state, state),
           due_at = coalesce(v_received_at + make_interval(secs => p_lease_seconds), due_at)
     where integration_id = p_integration_id and lease_token = p_lease_token
    returning connected_to into v_connected_to;
    if not found then
      perform private.refuse_late_worker();
    end if;
    if v_connected_to < date_trunc('minute', now()) then
      perform private.count_uptime(p_integration_id, p_lease_token);
    end if;
  end if;

  select * into v_integration from public.device_integrations where id = p_integration_id;
  if not found then
    raise exception 'There is no integration %.', p_integration_id using errcode = 'PT404';
  end if;
  v_provision := coalesce(v_integration.settings ->> 'auto_provision_devices', 'true') <> 'false';
  select count(*), coalesce(sum(
           case when w.settings ? 'recipients' then cardinality(private.list_recipients(w.settings)) else 1 end
           + private.count_patterns(w.settings -> 'device_filter') / 8), 0) * jsonb_array_length(p_messages) > 10000
    into v_subscribers, v_is_wide
    from public.device_integrations w
   where w.organization_id = v_integration.organization_id and w.status <> 'inactive' and w.settings ? 'events';
  perform private.make_message_partition((v_received_at at time zone 'UTC')::date);
  v_fresh := private.remember_events(p_integration_id, v_integration.organization_id, p_messages);

  with incoming as materialized (
    select (v_id_start || to_hex(x'7000'::integer + m.n) || v_id_end)::uuid as id, m.*
      from rows from (
             jsonb_to_recordset(p_messages) as (
               event_id text, device text, kind text, topic text, payload jsonb, raw text, raw_encoding text,
               observed_at timestamptz, error text, device_status text, metadata jsonb, remark text, report jsonb)
           ) with ordinality as m(
             event_id, device, kind, topic, payload, raw, raw_encoding, observed_at, error, device_status, metadata, remark, report, n)
  ),
  fresh as materialized (
    select i.* from incoming i where v_fresh is null or v_fresh[i.n]
  ),
  seen as (
    select f.device as external_id,
           max(least(coalesce(f.observed_at, v_received_at), v_received_at)) filter (where f.device_status is distinct from 'unheard')
             as last_seen_at,
           -- As it would be had each come in a batch of its own: the last one tells, and who speaks is online.
           (array_agg(coalesce(f.device_status, 'online') order by f.id desc)
              filter (where f.device_status is distinct from 'unheard'))[1] as status
      from fresh f
     where f.device is not null
     group by f.device
  ),
  met as materialized (
    -- The limit, and no word of the organization, which follows from the integration, have each device looked up by its own
    -- index, whatever statistics there were when the plan was made.
    select s.*, d.id, d.device_type, s.status is null or d.status = s.status and d.last_seen_at > s.last_seen_at - interval '1 second' as unchanged
      from seen s
      left join lateral (
        select e.id, e.status, e.last_seen_at, e.device_type from public.devices e
         where e.integration_id = p_integration_id and e.external_id = s.external_id
         limit 1) d on true
  ),
  room as materialized (
    select n.external_id from (select m.external_id from met m where m.id is null and v_provision order by m.external_id) n
     limit (select case when count(*) > 0 then private.take_device_room(v_integration.organization_id, count(*)::integer) else 0 end
              from met m where m.id is null and v_provision)
  ),
  -- Less than a second later is not worth a row version, and an event for those who watch the table.
  changed as (
    insert into public.devices as d (id, organization_id, integration_id, external_id, name, status, last_seen_at)
    select coalesce(m.id, gen_random_uuid()), v_integration.organization_id, p_integration_id, m.external_id, m.external_id,
           coalesce(m.status, 'unknown'), m.last_seen_at
      from met m
     where case when m.id is null then m.external_id in (select r.external_id from room r) else m.unchanged is not true end
     order by m.external_id
    on conflict (integration_id, external_id, organization_id) do update
      set last_seen_at = greatest(d.last_seen_at, excluded.last_seen_at),
          status = case when p_received_at < d.last_seen_at then d.status else excluded.status end
    returning d.id, d.external_id, (xmax = 0) as created
  ),
  known as (
    select m.external_id, coalesce(c.id, m.id) as id, m.device_type from met m left join changed c on c.external_id = m.external_id
  ),
  stored as (
    insert into public.device_messages (
      id, organization_id, integration_id, device_id, external_id, event_id, kind, topic, payload, raw, raw_encoding,
      observed_at, received_at, error, metadata, remark)
    select f.id, v_integration.organization_id, p_integration_id, k.id, case when k.id is null then f.device end, f.event_id, coalesce(f.kind, 'event'), f.topic, f.payload,
           f.raw, f.raw_encoding, coalesce(f.observed_at, v_received_at), v_received_at, f.error, nullif(f.metadata, 'null'), f.remark
      from fresh f left join known k on k.external_id = f.device
    returning id, kind, error, device_id, coalesce(pg_column_size(payload), 0) as payload_bytes
  ),
  subscribers as materialized (
    select w.id, r.recipient, w.settings -> 'events' as events, w.settings -> 'device_filter' as device_filter, w.settings ->> 'ordered' as ordered,
           '8' || right(replace(gen_random_uuid()::text, '-', ''), 15) as id_end
      from public.device_integrations w
      cross join lateral unnest(
        case when w.settings ? 'recipients' then private.list_recipients(w.settings) else '{null}'::text[] end) r(recipient)
     where w.organization_id = v_integration.organization_id and w.status <> 'inactive' and w.settings ? 'events'
  ),
  aimed as (
    select w.id as webhook, k.id as device
      from subscribers w join known k on private.wants_device(w.device_filter, k.id, k.external_id, k.device_type)
     where w.device_filter is not null and not v_is_wide
  ),
  enqueued as (
    insert into public.webhook_deliveries (
      id, organization_id, integration_id, event_type, message_id, message_received_at, payload_bytes, ordering_key, recipient)
    -- Time and number as in the message's id, the rest by chance: these ids rise with time too.
    select (left(s.id::text, 18) || w.id_end)::uuid, v_integration.organization_id, w.id, 'device.' || s.kind, s.id, v_received_at,
           s.payload_bytes,
           case when w.recipient is not null then private.key_person(w.id, w.recipient) else
             case w.ordered when 'device' then coalesce(s.device_id, w.id) when 'integration' then w.id end end,
           w.recipient
      from subscribers w join stored s on s.error is null and private.wants_event(w.events, s.kind)
     where not v_is_wide
       and (w.device_filter is null or (w.id, s.device_id) in (select a.webhook, a.device from aimed a))
    returning integration_id
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
    select e.integration_id, v_integration.organization_id, date_trunc('minute', now()), count(*) from enqueued e group by 1
  )
  select (select count(*) from incoming) as received,
         (select count(*) from stored) as kept,
         (select count(*) from stored where error is not null) as failed,
         (select count(*) from changed where created) as devices,
         (select count(*) from enqueued) as deliveries,
         (select extract(epoch from v_received_at - min(f.observed_at)) from fresh f
           -- What is older was kept somewhere, and was not on its way.
           where p_received_at is null and f.observed_at > v_received_at - interval '1 day') as lag_seconds,
         (select jsonb_agg(jsonb_build_object('device', f.device, 'report', f.report) order by f.device, f.id)
            from fresh f where f.report <> 'null') as reports,
         case when p_name_duplicates then
           (select coalesce(jsonb_agg(i.n), '[]') from incoming i where i.n not in (select f.n from fresh f))
         end as repeated
    into v_count;

  if v_count.reports is not null then
    perform private.heed_reports(v_integration.organization_id, p_integration_id, v_count.reports);
  end if;
  if v_is_wide and v_count.kept > v_count.failed then
    insert into private.fan_outs (organization_id, integration_id, received_at, id_end, webhooks)
    select v_integration.organization_id, p_integration_id, v_received_at, v_id_end, array_agg(w.id order by w.id)
      from public.device_integrations w
     where w.organization_id = v_integration.organization_id and w.status <> 'inactive' and w.settings ? 'events'
    having count(*) > 0;
    v_count.deliveries := v_subscribers * (v_count.kept - v_count.failed);
  end if;
  if v_count.received > 0 then
    insert into public.integration_metrics as t (
      integration_id, minute, organization_id, received, stored, duplicates, failed, bytes, lag_seconds)
    values (
      p_integration_id, date_trunc('minute', v_received_at), v_integration.organization_id, v_count.received,
      v_count.kept - v_count.failed, v_count.received - v_count.kept, v_count.failed, p_bytes, case when v_count.lag_seconds < 0 then 0 else v_count.lag_seconds end)
    on conflict (integration_id, organization_id, minute) do update
      set received = t.received + excluded.received, stored = t.stored + excluded.stored,
          duplicates = t.duplicates + excluded.duplicates, failed = t.failed + excluded.failed, bytes = t.bytes + excluded.bytes,
          lag_seconds = greatest(t.lag_seconds, excluded.lag_seconds);
  end if;

  return jsonb_build_object(
    'received', v_count.received, 'stored', v_count.kept - v_count.failed, 'duplicates', v_count.received - v_count.kept,
    'failed', v_count.failed, 'devices', v_count.devices, 'deliveries', v_count.deliveries)
    || case when p_name_duplicates then jsonb_build_object('repeated', v_count.repeated) else '{}' end;
end
$$;
comment on function public.ingest_messages is
  'Stores a batch once: ids already in the ledger count as duplicates. A device''s last_seen_at is kept to the second. With a lease token the lease must still be held (PT409); it is renewed and p_state saved with the batch. Where more than ten thousand deliveries may come of it, or as much of comparing devices with filters, spread_deliveries makes them, and as many are counted. With p_name_duplicates the answer has their places in p_messages, from 1, as repeated. Whom a message that is unheard is about was neither seen nor is online for it. p_received_at is for what came earlier; p_bytes is how large the bodies were that all this came in.';

revoke execute on function public.ingest_messages from public, anon, authenticated, service_role;
