-- Decoding again what is stored: what had failed, of which one body may be several messages now, and what was decoded wrongly.

insert into private.job_kinds (kind) values ('redecode');

create function public.stored_messages(p_integration_id uuid, p_filter jsonb)
returns table (
  id uuid, received_at timestamptz, event_id text, topic text, device text, observed_at timestamptz, payload jsonb, raw text,
  raw_encoding text
)
language sql stable set search_path = ''
as $$
  select f.id, f.received_at, coalesce(f.metadata ->> 'body', f.event_id), f.topic, coalesce(d.external_id, f.external_id),
         nullif(f.observed_at, f.received_at), f.payload, f.raw, f.raw_encoding
    from (
      select m.*, sum(octet_length(m.raw)) over (order by m.received_at, m.id) - octet_length(m.raw) as bytes_before
        from public.device_messages m
       where m.organization_id = (select i.organization_id from public.device_integrations i where i.id = p_integration_id)
         and m.integration_id = p_integration_id and m.error is null
         -- Of several messages of one body the first has it.
         and coalesce(m.metadata ->> 'part', '1') = '1'
         and m.received_at >= (p_filter ->> 'from')::timestamptz and m.received_at < (p_filter ->> 'to')::timestamptz
         and (m.received_at, m.id) > (
               coalesce((p_filter ->> 'after_received_at')::timestamptz, '-infinity'),
               coalesce((p_filter ->> 'after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
       order by m.received_at, m.id
       limit 200) f
    left join lateral (select * from public.devices n where n.id = f.device_id offset 0) d on d.organization_id = f.organization_id
   where coalesce(f.bytes_before, 0) < 4194304
   order by f.received_at, f.id
$$;
comment on function public.stored_messages is
  '{from, to (exclusive), after_received_at?, after_id?}: the oldest 200 messages that were decoded; less where they are large, until they have 4 MB.';

create function private.redecode_message(p_message public.device_messages, p_told jsonb, out changed integer, out added integer)
language plpgsql volatile set search_path = ''
as $$
declare
  v_added jsonb;
begin
  with told as (
    select t.n, t.message, nullif(t.message ->> 'device', '') as device
      from jsonb_array_elements(p_told) with ordinality t(message, n)
  ),
  parts as (
    select m.id, coalesce((m.metadata ->> 'part')::integer, 1) as n
      from public.device_messages m
     where m.organization_id = p_message.organization_id and m.integration_id = p_message.integration_id
       and m.received_at = p_message.received_at
       and (m.id = p_message.id or m.metadata ->> 'body' = p_message.metadata ->> 'body')
  ),
  renewed as (
    update public.device_messages m
       set first_version = coalesce(m.first_version, jsonb_build_object(
             'payload', m.payload, 'kind', m.kind, 'device_id', m.device_id, 'external_id', m.external_id,
             'observed_at', m.observed_at, 'remark', m.remark)),
           payload = t.message -> 'payload', kind = t.message ->> 'kind', device_id = d.id,
           external_id = case when d.id is null then t.device end,
           observed_at = coalesce((t.message ->> 'observed_at')::timestamptz, m.received_at), remark = t.message ->> 'remark',
           metadata = case jsonb_typeof(t.message -> 'metadata')
             when 'object' then coalesce(m.metadata, '{}') || (t.message -> 'metadata') else m.metadata end
      from parts p
      join told t on t.n = p.n
      left join lateral (
        select e.id from public.devices e
         where e.integration_id = p_message.integration_id and e.external_id = t.device limit 1) d on true
     where m.id = p.id and m.received_at = p_message.received_at
       and (m.payload, m.kind, m.device_id, m.observed_at, m.remark) is distinct from (
             t.message -> 'payload', t.message ->> 'kind', d.id,
             coalesce((t.message ->> 'observed_at')::timestamptz, m.received_at), t.message ->> 'remark')
    returning 1
  )
  select (select count(*) from renewed),
         (select jsonb_agg(t.message order by t.n) from told t where t.n not in (select p.n from parts p))
    into changed, v_added;
  added := 0;
  if v_added is not null then
    added := (public.ingest_messages(
      p_message.integration_id, v_added, p_received_at => p_message.received_at) ->> 'stored')::integer;
  end if;
end
$$;
comment on function private.redecode_message is
  'Puts what a body became now in the place of what it had become, message by message; what it says beyond that is stored, and what it no '
  'longer says stays.';

create function public.redecode_messages(p_job_id uuid, p_lease_token uuid, p_messages jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_given record;
  v_counts record;
  v_message public.device_messages;
  v_changed integer := 0;
  v_added integer := 0;
begin
  for v_given in
    select g.* from jsonb_to_recordset(p_messages) as g(id uuid, received_at timestamptz, messages jsonb) order by g.received_at, g.id
  loop
    select * into v_message from public.device_messages m
     where m.id = v_given.id and m.received_at = v_given.received_at and m.organization_id = v_integration.organization_id
       and m.integration_id = v_integration.id and m.error is null
       for update;
    continue when not found;
    select r.changed, r.added into v_counts from private.redecode_message(v_message, v_given.messages) r;
    v_changed := v_changed + v_counts.changed;
    v_added := v_added + v_counts.added;
  end loop;
  return jsonb_build_object('changed', v_changed, 'added', v_added);
end
$$;
comment on function public.redecode_messages is
  'For a job that is still held: [{id, received_at, messages}], decoded anew, in the place of what they were, which is kept. Webhooks are told of '
  'what is added alone.';

revoke execute on function public.stored_messages, private.redecode_message, public.redecode_messages
  from public, anon, authenticated, service_role;
