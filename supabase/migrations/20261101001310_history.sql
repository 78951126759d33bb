-- What is read back from the other side: stored, unless it came another way already, under another id.

create function private.nest_payload(p_topic text, p_payload jsonb) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
  select (string_agg('{' || to_json(t.name)::text || ':', '' order by t.n) || p_payload::text || repeat('}', count(*)::integer))::jsonb
    from string_to_table(p_topic, '/') with ordinality as t(name, n)
$$;
comment on function private.nest_payload is 'a/b and 1 → {"a": {"b": 1}}: how some pipelines write the path of a reading.';

create function private.is_same_reading(p_stored jsonb, p_topic text, p_payload jsonb) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select p_stored = p_payload
      or (p_topic <> '' and p_payload = private.nest_payload(p_topic, p_stored))
      or (p_topic <> '' and p_stored = private.nest_payload(p_topic, p_payload))
$$;
comment on function private.is_same_reading is 'Whether two payloads say the same, with or without the topic around one of them.';

create function private.find_reading(
  p_organization_id uuid, p_integration_id uuid, p_device_id uuid, p_device text, p_at timestamptz, p_topic text, p_payload jsonb
) returns text
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan -- planning over all partitions took longest
as $$
begin
  -- Two branches, for no index serves "the same device or none". A device's clock is at most a day ahead of its arrival.
  if p_device_id is null then
    return (
      select m.event_id from public.device_messages m
       where m.device_id is null and m.external_id is not distinct from p_device and m.observed_at <> m.received_at
         and m.observed_at > p_at - interval '1 millisecond' and m.observed_at < p_at + interval '1 millisecond'
         and m.received_at > p_at - interval '1 day'
         and m.organization_id = p_organization_id and m.integration_id = p_integration_id
         and private.is_same_reading(m.payload, coalesce(m.topic, p_topic), p_payload)
       limit 1);
  end if;
  return (
    select m.event_id from public.device_messages m
     where m.device_id = p_device_id and m.observed_at <> m.received_at
       and m.observed_at > p_at - interval '1 millisecond' and m.observed_at < p_at + interval '1 millisecond'
       and m.received_at > p_at - interval '1 day'
         and m.organization_id = p_organization_id and m.integration_id = p_integration_id
       and private.is_same_reading(m.payload, coalesce(m.topic, p_topic), p_payload)
     limit 1);
end
$$;
comment on function private.find_reading is
  'The event_id under which the integration has stored this reading of the device, or of one that is not known here, within a millisecond of its time.';

create function private.hold_history(p_integration_id uuid) returns void
language sql volatile set search_path = ''
as $$ select pg_advisory_xact_lock(hashtext('private.hold_history'), hashtext(p_integration_id::text)) $$;
comment on function private.hold_history is
  'Until the end of the transaction: of what comes pushed and read back at once, one waits and then sees the other.';

create function private.name_late_readings(p_integration_id uuid, p_messages jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  -- What is younger no backfill has read yet: it leaves out the last two minutes.
  v_late timestamptz := now() - interval '1 minute';
  v_organization_id uuid := (select i.organization_id from public.device_integrations i where i.id = p_integration_id);
  v_columns jsonb := private.as_columns(p_messages);
  v_event_ids jsonb;
begin
  if not exists (
       select from public.integration_jobs j
        where j.organization_id = v_organization_id and j.integration_id = p_integration_id and j.kind = 'backfill')
     or not exists (
       select from jsonb_array_elements_text(v_columns -> 'observed_at') o where o::timestamptz < v_late) then
    return v_columns;
  end if;
  perform private.hold_history(p_integration_id);
  with named as materialized (
    select m.n, m.event_id, case when m.observed_at::timestamptz < v_late then
             private.find_reading(
               v_organization_id, p_integration_id, d.id, m.device, m.observed_at::timestamptz, m.topic, m.payload) end as known
      from rows from (
             jsonb_array_elements_text(v_columns -> 'event_id'), jsonb_array_elements_text(v_columns -> 'device'),
             jsonb_array_elements_text(v_columns -> 'observed_at'), jsonb_array_elements_text(v_columns -> 'topic'),
             jsonb_array_elements(v_columns -> 'payload')
           ) with ordinality as m(event_id, device, observed_at, topic, payload, n)
      left join lateral (
        select e.id from public.devices e
         where e.integration_id = p_integration_id and e.external_id = m.device limit 1) d on true
  ),
  -- However long ago it was stored.
  remembered as (
    insert into private.message_ledger (integration_id, organization_id, event_id)
    select distinct p_integration_id, v_organization_id, n.known collate "C" from named n where n.known is not null order by 3
    on conflict do nothing
  )
  select jsonb_agg(coalesce(n.known, n.event_id) order by n.n) into v_event_ids from named n;
  return v_columns || jsonb_build_object('event_id', v_event_ids);
end
$$;
comment on function private.name_late_readings is
  'The columns of messages, those that a backfill has stored before they came under the ids that they have there: so they are duplicates.';

create function public.ingest_history(p_integration_id uuid, p_messages jsonb, p_bytes bigint default 0) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_organization_id uuid := (select i.organization_id from public.device_integrations i where i.id = p_integration_id);
  v_judged record;
  v_counts jsonb;
begin
  perform private.hold_history(p_integration_id);
  with incoming as materialized (
    select m.message, m.n, d.id as device_id, coalesce(d.status, 'unknown') as device_status
      from jsonb_array_elements(p_messages) with ordinality as m(message, n)
      left join lateral (
        select e.id, e.status from public.devices e
         where e.integration_id = p_integration_id and e.external_id = m.message ->> 'device' limit 1) d on true
  ),
  judged as materialized (
    select i.*, private.find_reading(
                  v_organization_id, p_integration_id, i.device_id, i.message ->> 'device', (i.message ->> 'observed_at')::timestamptz,
                  i.message ->> 'topic', i.message -> 'payload') is not null as known
      from incoming i
  )
  -- What was long ago says nothing of whether a device is online now.
  select coalesce(
           jsonb_agg(j.message - 'report' || jsonb_build_object('device_status', j.device_status) order by j.n)
             filter (where not j.known), '[]') as fresh,
         count(*) filter (where j.known) as known
    into v_judged
    from judged j;

  v_counts := public.ingest_messages(p_integration_id, v_judged.fresh, p_bytes => p_bytes);
  perform private.count_duplicates(
    v_organization_id, p_integration_id, v_judged.known, case when v_judged.fresh = '[]' then p_bytes else 0 end);
  return v_counts || jsonb_build_object(
    'received', (v_counts ->> 'received')::integer + v_judged.known,
    'duplicates', (v_counts ->> 'duplicates')::integer + v_judged.known);
end
$$;
comment on function public.ingest_history is
  'As ingest_messages, for readings of the past: what is stored already under another id counts as a duplicate, and no device''s status changes; a new one''s is unknown.';

revoke execute on function private.nest_payload, private.is_same_reading, private.find_reading, private.hold_history,
  private.name_late_readings, public.ingest_history from public, anon, authenticated, service_role;
