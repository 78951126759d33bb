-- What could not be decoded, decoded again once the config is mended: with its original times, and once.

create function public.failed_messages(p_integration_id uuid, p_filter jsonb default '{}')
returns table (
  id uuid, received_at timestamptz, event_id text, topic text, device text, observed_at timestamptz, payload jsonb, raw text,
  raw_encoding text, metadata jsonb
)
language sql stable set search_path = ''
as $$
  select f.id, f.received_at, f.event_id, f.topic, coalesce(d.external_id, f.external_id), nullif(f.observed_at, f.received_at), f.payload,
         f.raw, f.raw_encoding, f.metadata
    from (
      select m.*, sum(octet_length(m.raw)) over (order by m.received_at, m.id) - octet_length(m.raw) as bytes_before
        from public.device_messages m
       where m.integration_id = p_integration_id and m.error is not null
         and m.received_at >= coalesce((p_filter ->> 'from')::timestamptz, '-infinity')
         and m.received_at < coalesce((p_filter ->> 'to')::timestamptz, 'infinity')
         and (m.received_at, m.id) > (
               coalesce((p_filter ->> 'after_received_at')::timestamptz, '-infinity'),
               coalesce((p_filter ->> 'after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
       order by m.received_at, m.id
       limit 201) f
    left join lateral (select * from public.devices n where n.id = f.device_id offset 0) d on d.organization_id = f.organization_id
   where coalesce(f.bytes_before, 0) < 4194304
   order by f.received_at, f.id
$$;
comment on function public.failed_messages is
  '{from?, to? (exclusive), after_received_at?, after_id?}: the oldest 201 messages that could not be decoded; less where they are large, until they have 4 MB.';

create function public.replay_messages(p_integration_id uuid, p_messages jsonb) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_batch record;
  v_counts jsonb;
  v_taken integer := 0;
  v_stored integer := 0;
  v_duplicates integer := 0;
begin
  perform private.require_portable('p_messages', p_messages, 16777216);
  if jsonb_array_length(p_messages) > 200 then
    raise exception 'At most 200 messages are replayed at once.' using errcode = '22023';
  end if;
  -- A delivery that is larger than a lease is leased alone, and read whole by who sends those of all.
  if exists (
       select from jsonb_array_elements(p_messages) g(given) cross join jsonb_array_elements(g.given -> 'messages') e(message)
        where octet_length(e.message::text) > 4194304) then
    raise exception 'p_messages: a message has at most 4194304 bytes.' using errcode = '22023';
  end if;
  -- What came together is stored together, so that the batches are as few as they were.
  for v_batch in
    with taken as materialized (
      delete from public.device_messages m
       using jsonb_to_recordset(p_messages) as given(id uuid, received_at timestamptz, messages jsonb)
       where m.id = given.id and m.received_at = given.received_at
         and m.organization_id = v_organization_id and m.integration_id = p_integration_id and m.error is not null
         -- What is to come in its place, or it stays.
         and jsonb_array_length(given.messages) > 0
      returning m.received_at, m.event_id, given.messages
    )
    select t.received_at, count(*)::integer as count,
           (select jsonb_agg(e.message) from taken o cross join lateral jsonb_array_elements(o.messages) e(message)
             where o.received_at = t.received_at) as messages,
           array_agg(t.event_id) filter (
             where t.messages @> jsonb_build_array(jsonb_build_object('event_id', t.event_id))) as event_ids
      from taken t group by t.received_at order by t.received_at
  loop
    delete from private.message_ledger
     where integration_id = p_integration_id and organization_id = v_organization_id and event_id = any (v_batch.event_ids);
    -- Where its minute is rolled up already, a row with less than nothing is added to that in time.
    insert into public.integration_metrics as t (integration_id, organization_id, minute, received, failed)
    values (p_integration_id, v_organization_id, date_trunc('minute', v_batch.received_at), -v_batch.count, -v_batch.count)
    on conflict (integration_id, organization_id, minute) do update
      set received = t.received + excluded.received, failed = t.failed + excluded.failed;
    v_counts := public.ingest_messages(p_integration_id, v_batch.messages, p_received_at => v_batch.received_at);
    v_taken := v_taken + v_batch.count;
    v_stored := v_stored + (v_counts ->> 'stored')::integer;
    v_duplicates := v_duplicates + (v_counts ->> 'duplicates')::integer;
  end loop;
  if v_taken > 0 then
    perform private.log_queue_change(
      p_integration_id, 'messages.replayed', format('%s messages that had failed were decoded and stored.', v_stored),
      jsonb_build_object('count', v_taken, 'stored', v_stored, 'duplicates', v_duplicates));
  end if;
  return jsonb_build_object('taken', v_taken, 'stored', v_stored, 'duplicates', v_duplicates);
end
$$;
comment on function public.replay_messages is
  'Puts [{id, received_at, messages}], decoded anew, in the place of those that had failed: with the time they were received, counted in its '
  'minute, and sent to webhooks. What has not failed, or no longer, is passed over: taken counts the others.';

revoke execute on function public.failed_messages, public.replay_messages from public, anon, authenticated,
  service_role;
