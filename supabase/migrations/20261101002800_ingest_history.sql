-- What is read back from the other side: stored, unless it came another way already, under another id.

create index device_messages_observed on public.device_messages (device_id, observed_at) where observed_at <> received_at;
comment on index public.device_messages_observed is
  'Finds a reading by its own time. What has none but that of its arrival is not in it, and costs nothing here.';

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

create function private.has_reading(
  p_integration_id uuid, p_device_id uuid, p_external_id text, p_observed_at timestamptz, p_payload jsonb
) returns boolean
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan -- planning over all partitions took longest
as $$
begin
  -- Two branches, for no index serves "the same device or none". A device's clock is at most a day ahead of its arrival.
  if p_device_id is null then
    return exists (
      select from public.device_messages m
       where m.device_id is null and m.external_id is not distinct from p_external_id and m.observed_at <> m.received_at
         and m.observed_at > p_observed_at - interval '1 millisecond' and m.observed_at < p_observed_at + interval '1 millisecond'
         and m.received_at > p_observed_at - interval '1 day'
         and m.integration_id = p_integration_id and private.is_same_reading(m.payload, m.topic, p_payload));
  end if;
  return exists (
    select from public.device_messages m
     where m.device_id = p_device_id and m.observed_at <> m.received_at
       and m.observed_at > p_observed_at - interval '1 millisecond' and m.observed_at < p_observed_at + interval '1 millisecond'
       and m.received_at > p_observed_at - interval '1 day'
       and m.integration_id = p_integration_id and private.is_same_reading(m.payload, m.topic, p_payload));
end
$$;
comment on function private.has_reading is
  'Whether the integration has stored this reading of the device, or of one that is not known here, within a millisecond of that time.';

create function public.ingest_history(p_integration_id uuid, p_messages jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_judged record;
  v_counts jsonb;
begin
  with incoming as materialized (
    select m.message, m.n, d.id as device_id, coalesce(d.status, 'unknown') as device_status
      from jsonb_array_elements(p_messages) with ordinality as m(message, n)
      left join public.devices d
        on d.integration_id = p_integration_id and d.external_id = m.message ->> 'device'
  ),
  judged as materialized (
    select i.*, private.has_reading(
             p_integration_id, i.device_id, i.message ->> 'device', (i.message ->> 'observed_at')::timestamptz, i.message -> 'payload') as known
      from incoming i
  )
  -- What was long ago says nothing of whether a device is online now.
  select coalesce(
           jsonb_agg(j.message || jsonb_build_object('device_status', j.device_status) order by j.n)
             filter (where j.known is not true), '[]') as fresh,
         count(*) filter (where j.known) as known
    into v_judged
    from judged j;

  v_counts := public.ingest_messages(p_integration_id, v_judged.fresh);
  if v_judged.known > 0 then
    insert into public.integration_metrics as t (integration_id, minute, organization_id, received, duplicates)
    select i.id, date_trunc('minute', now()), i.organization_id, v_judged.known, v_judged.known
      from public.device_integrations i where i.id = p_integration_id
    on conflict (integration_id, minute) do update
      set received = t.received + excluded.received, duplicates = t.duplicates + excluded.duplicates;
  end if;
  return v_counts || jsonb_build_object(
    'received', (v_counts ->> 'received')::integer + v_judged.known,
    'duplicates', (v_counts ->> 'duplicates')::integer + v_judged.known);
end
$$;
comment on function public.ingest_history is
  'As ingest_messages, for readings of the past: what is stored already under another id counts as a duplicate, and no device''s status changes; a new one''s is unknown.';

revoke execute on function private.nest_payload, private.is_same_reading, private.has_reading from public;
revoke execute on function public.ingest_history from public, anon, authenticated;
grant execute on function private.nest_payload, private.is_same_reading, private.has_reading to service_role;
grant execute on function public.ingest_history to service_role;
