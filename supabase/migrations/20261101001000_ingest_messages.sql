-- The one way in: a batch of normalised messages, in one transaction with its devices, deliveries, counts and state.

create function private.as_columns(p_messages jsonb) returns jsonb
language plpgsql immutable parallel safe set search_path = ''
as $$
begin
  if jsonb_typeof(p_messages) = 'object' then
    return p_messages;
  elsif jsonb_typeof(p_messages) is distinct from 'array' then
    raise exception 'messages: expected an object of columns, or an array of messages.' using errcode = '22023';
  elsif p_messages = '[]' then
    return '{}';
  end if;
  return (
    select jsonb_build_object(
             'event_id', jsonb_agg(m.event_id), 'device', jsonb_agg(m.device), 'kind', jsonb_agg(m.kind),
             'topic', jsonb_agg(m.topic), 'payload', jsonb_agg(m.payload), 'raw', jsonb_agg(m.raw),
             'raw_encoding', jsonb_agg(m.raw_encoding), 'observed_at', jsonb_agg(m.observed_at), 'error', jsonb_agg(m.error),
             'device_status', jsonb_agg(m.device_status), 'metadata', jsonb_agg(m.metadata), 'remark', jsonb_agg(m.remark),
             'report', jsonb_agg(m.report))
      from jsonb_to_recordset(p_messages) as m(
        event_id jsonb, device jsonb, kind jsonb, topic jsonb, payload jsonb, raw jsonb, raw_encoding jsonb, observed_at jsonb,
        error jsonb, device_status jsonb, metadata jsonb, remark jsonb, report jsonb));
end
$$;
comment on function private.as_columns is
  'Messages as the columns that ingest_messages reads, {event_id: […], device: […], …}, where they come as an array of objects.';

create function public.ingest_messages(
  p_integration_id uuid, p_messages jsonb, p_lease_token uuid default null, p_lease_seconds integer default null,
  p_state jsonb default null, p_name_duplicates boolean default false, p_received_at timestamptz default null,
  p_bytes bigint default 0
) returns jsonb
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan -- planning took a tenth of a batch
set enable_seqscan = off -- the plan is kept, though it may be made while a table is still empty
as $$
declare
  v_messages jsonb := private.as_columns(p_messages);
  v_received integer := coalesce(jsonb_array_length(v_messages -> 'event_id'), 0);
  v_statuses jsonb := v_messages -> 'device_status';
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
  v_kept integer;
  v_count record;
  v_deliveries bigint := 0;
begin
  if v_received > 4000 then
    raise exception 'A batch holds at most 4000 messages; send it in parts.' using errcode = '22023';
  end if;
  if exists (select from jsonb_each(v_messages) c where jsonb_array_length(c.value) <> v_received) then
    raise exception 'messages: expected as many values in each column as there are in event_id, %.', v_received using errcode = '22023';
  end if;

  if p_lease_token is not null then
    perform private.bound_state('state', p_state);
    update public.integration_schedules
       set state = coalesce(p_state, state),
           lag = case when p_state is null then lag when jsonb_typeof(p_state -> 'lag') = 'number' then (p_state -> 'lag')::bigint end,
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
           + private.count_patterns(w.settings -> 'device_filter') / 8), 0) * v_received > 10000
    into v_subscribers, v_is_wide
    from public.device_integrations w
   where w.organization_id = v_integration.organization_id and w.status <> 'inactive' and w.settings ? 'events';
  perform private.make_message_partition((v_received_at at time zone 'UTC')::date);
  v_fresh := private.remember_events(p_integration_id, v_integration.organization_id, v_messages -> 'event_id');
  v_kept := case when v_fresh is null then v_received else cardinality(array_positions(v_fresh, true)) end;

  with fresh as materialized (
    select (v_id_start || to_hex(x'7000'::integer + m.n) || v_id_end)::uuid as id, m.event_id, m.device, m.kind, m.topic, m.payload,
           m.raw, m.raw_encoding, m.observed_at::timestamptz as observed_at, m.error, m.device_status, m.metadata, m.remark, m.report,
           m.n::integer as n
      -- A column that nothing has a value in is left out.
      from rows from (
             jsonb_array_elements_text(v_messages -> 'event_id'), jsonb_array_elements_text(v_messages -> 'device'),
             jsonb_array_elements_text(v_messages -> 'kind'), jsonb_array_elements_text(v_messages -> 'topic'),
             jsonb_array_elements(v_messages -> 'payload'), jsonb_array_elements_text(v_messages -> 'raw'),
             jsonb_array_elements_text(v_messages -> 'raw_encoding'), jsonb_array_elements_text(v_messages -> 'observed_at'),
             jsonb_array_elements_text(v_messages -> 'error'), jsonb_array_elements_text(v_statuses),
             jsonb_array_elements(v_messages -> 'metadata'), jsonb_array_elements_text(v_messages -> 'remark'),
             jsonb_array_elements(v_messages -> 'report')
           ) with ordinality as m(
             event_id, device, kind, topic, payload, raw, raw_encoding, observed_at, error, device_status, metadata, remark, report, n)
     where v_fresh is null or v_fresh[m.n]
  ),
  heard as (
    select f.device as external_id,
           max(least(coalesce(f.observed_at, v_received_at), v_received_at)) filter (where f.device_status is distinct from 'unheard')
             as last_seen_at,
           max(f.n) filter (where f.device_status is distinct from 'unheard') as last
      from fresh f
     where f.device is not null
     group by f.device
  ),
  seen as (
    -- As it would be had each come in a batch of its own: the last one tells, and who speaks is online.
    select h.external_id, h.last_seen_at, case when h.last is not null then coalesce(v_statuses ->> (h.last - 1), 'online') end as status
      from heard h
  ),
  met as materialized (
    -- The limit, and no word of the organization, which follows from the integration, have each device looked up by its own
    -- index, whatever statistics there were when the plan was made.
    select s.*, d.id, s.status is null or d.status = s.status and d.last_seen_at > s.last_seen_at - interval '1 second' as unchanged
      from seen s
      left join lateral (
        select e.id, e.status, e.last_seen_at from public.devices e
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
          status = case
            when p_received_at < d.last_seen_at then d.status
            -- What it said before it went, and comes late, does not bring it back.
            when excluded.status = 'online' and d.status <> 'online' and private.read_gone(d.metadata) >= excluded.last_seen_at then d.status
            else excluded.status
          end
    returning d.id, d.external_id, (xmax = 0) as created
  ),
  known as (
    select m.external_id, coalesce(c.id, m.id) as id from met m left join changed c on c.external_id = m.external_id
  ),
  stored as (
    insert into public.device_messages (
      id, organization_id, integration_id, device_id, external_id, event_id, kind, topic, payload, raw, raw_encoding,
      observed_at, received_at, error, metadata, remark)
    select f.id, v_integration.organization_id, p_integration_id, k.id, case when k.id is null then f.device end, f.event_id,
           coalesce(f.kind, 'event'), f.topic, nullif(f.payload, 'null'), f.raw, f.raw_encoding,
           coalesce(f.observed_at, v_received_at), v_received_at, f.error, nullif(f.metadata, 'null'), f.remark
      from fresh f left join known k on k.external_id = f.device
  )
  -- What depends on a column that is not there is not looked for.
  select (select count(*) from changed where created) as devices,
         case when v_messages ? 'error' then (select count(*) from fresh f where f.error is not null) else 0 end as failed,
         case when v_messages ? 'observed_at' and p_received_at is null then
           -- What is older was kept somewhere, and was not on its way.
           (select extract(epoch from v_received_at - min(f.observed_at)) from fresh f where f.observed_at > v_received_at - interval '1 day')
         end as lag_seconds,
         case when v_messages ? 'report' then
           (select jsonb_agg(jsonb_build_object('device', f.device, 'report', f.report) order by f.device, f.id)
              from fresh f where f.report <> 'null')
         end as reports
    into v_count;

  if v_count.reports is not null then
    perform private.heed_reports(v_integration.organization_id, p_integration_id, v_count.reports);
  end if;
  if v_subscribers > 0 and v_kept > v_count.failed then
    if v_is_wide then
      insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, received_at, id_end)
      select w.organization_id, w.id, (v_id_start || '7000' || v_id_end)::uuid, p_integration_id, v_received_at, v_id_end
        from public.device_integrations w
       where w.organization_id = v_integration.organization_id and w.status <> 'inactive' and w.settings ? 'events';
      v_deliveries := v_subscribers * (v_kept - v_count.failed);
    else
      v_deliveries := private.queue_messages(v_integration.organization_id, p_integration_id, v_received_at, v_id_end);
    end if;
  end if;
  if v_received > 0 then
    insert into public.integration_metrics as t (
      integration_id, minute, organization_id, received, stored, duplicates, failed, bytes, lag_seconds)
    values (
      p_integration_id, date_trunc('minute', v_received_at), v_integration.organization_id, v_received,
      v_kept - v_count.failed, v_received - v_kept, v_count.failed, p_bytes, case when v_count.lag_seconds < 0 then 0 else v_count.lag_seconds end)
    on conflict (integration_id, organization_id, minute) do update
      set received = t.received + excluded.received, stored = t.stored + excluded.stored,
          duplicates = t.duplicates + excluded.duplicates, failed = t.failed + excluded.failed, bytes = t.bytes + excluded.bytes,
          lag_seconds = greatest(t.lag_seconds, excluded.lag_seconds);
  end if;

  return jsonb_build_object(
    'received', v_received, 'stored', v_kept - v_count.failed, 'duplicates', v_received - v_kept,
    'failed', v_count.failed, 'devices', v_count.devices, 'deliveries', v_deliveries)
    || case when p_name_duplicates then jsonb_build_object('repeated', (
         select coalesce(jsonb_agg(g.n order by g.n), '[]') from unnest(v_fresh) with ordinality g(is_fresh, n) where not g.is_fresh))
       else '{}' end;
end
$$;
comment on function public.ingest_messages is
  'Stores a batch once: ids already in the ledger count as duplicates. A device''s last_seen_at is kept to the second. p_messages is an array of messages, or their columns, {event_id: […], device: […], …}, of which those without a value are left out. With a lease token the lease must still be held (PT409); it is renewed and p_state saved with the batch. Where more than ten thousand deliveries may come of it, or as much of comparing devices with filters, spread_deliveries makes them, and as many are counted. With p_name_duplicates the answer has their places in p_messages, from 1, as repeated. Whom a message that is unheard is about was neither seen nor is online for it. p_received_at is for what came earlier; p_bytes is how large the bodies were that all this came in.';

create function public.ingest_batch(jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
begin
  return public.ingest_messages(
    ($1 ->> 'integration_id')::uuid, $1 -> 'messages', ($1 ->> 'lease_token')::uuid, ($1 ->> 'lease_seconds')::integer,
    nullif($1 -> 'state', 'null'), p_bytes => coalesce(($1 ->> 'bytes')::bigint, 0));
end
$$;
comment on function public.ingest_batch is
  'ingest_messages as sessions call it, {integration_id, messages, lease_token, lease_seconds, state, bytes}: one argument without a name, which PostgREST hands on as it came; others it takes apart first, for longer than storing takes.';

revoke execute on function private.as_columns, public.ingest_messages, public.ingest_batch from public, anon, authenticated, service_role;
