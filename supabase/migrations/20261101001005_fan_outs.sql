-- Batches that more webhooks want than one transaction should write down: a row is committed with them, and worked off in steps.

create table private.fan_outs (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  integration_id uuid not null,
  received_at timestamptz not null,
  id_end text not null,
  webhooks uuid[] not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table private.fan_outs is 'A batch of messages that is still to be queued for webhooks: written by ingest_messages in place of more than ten thousand deliveries.';
comment on column private.fan_outs.integration_id is 'The integration that the messages came from.';
comment on column private.fan_outs.id_end is 'How the ids of all messages of the batch end.';
comment on column private.fan_outs.webhooks is 'Those that are still to be served; one step each.';
create index fan_outs_organization on private.fan_outs (organization_id, id);
alter table private.fan_outs enable row level security;

create function private.spread_step(p_fan_out private.fan_outs) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_queued integer;
begin
  with webhook as (
    select w.id, w.settings, r.recipient, '8' || right(replace(gen_random_uuid()::text, '-', ''), 15) as id_end
      from public.device_integrations w
      cross join lateral unnest(
        case when w.settings ? 'recipients' then private.list_recipients(w.settings) else '{null}'::text[] end) r(recipient)
     where w.organization_id = p_fan_out.organization_id and w.id = p_fan_out.webhooks[1] and w.status <> 'inactive' and w.settings ? 'events'
  )
  insert into public.webhook_deliveries (
    id, organization_id, integration_id, event_type, message_id, message_received_at, payload_bytes, ordering_key, recipient)
  select (left(m.id::text, 18) || w.id_end)::uuid, m.organization_id, w.id, 'device.' || m.kind, m.id, m.received_at,
         coalesce(pg_column_size(m.payload), 0),
         case when w.recipient is not null then private.key_person(w.id, w.recipient) else
           case w.settings ->> 'ordered' when 'device' then coalesce(m.device_id, w.id) when 'integration' then w.id end end,
         w.recipient
    from webhook w
    join public.device_messages m
      on m.organization_id = p_fan_out.organization_id and m.integration_id = p_fan_out.integration_id
     and m.received_at = p_fan_out.received_at and right(replace(m.id::text, '-', ''), 16) = p_fan_out.id_end
    -- By the key alone, and then whose it is: by organization the planner may read all its devices for each.
    left join lateral (select * from public.devices n where n.id = m.device_id offset 0) d on d.organization_id = m.organization_id
   where m.error is null and private.wants_event(w.settings -> 'events', m.kind)
     and (w.settings -> 'device_filter' is null
          or d.id is not null and private.wants_device(w.settings -> 'device_filter', d.id, d.external_id, d.device_type));
  get diagnostics v_queued = row_count;
  insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
  select p_fan_out.webhooks[1], p_fan_out.organization_id, date_trunc('minute', now()), v_queued where v_queued > 0;
  return v_queued;
end
$$;
comment on function private.spread_step is 'Queues a batch for the next of its webhooks, as that is now; how many deliveries that made.';

create function public.spread_deliveries() returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_fan_out private.fan_outs;
  v_queued integer;
begin
  -- Any organization that has some, then its oldest: those of one are in no other's way.
  select f.* into v_fan_out
    from (select min(n.id) as id from private.fan_outs n group by n.organization_id order by random() limit 8) o
    join private.fan_outs f on f.id = o.id
   limit 1
     for update of f skip locked;
  if not found then
    return null;
  end if;
  v_queued := private.spread_step(v_fan_out);
  if cardinality(v_fan_out.webhooks) > 1 then
    update private.fan_outs set webhooks = webhooks[2:] where id = v_fan_out.id;
  else
    delete from private.fan_outs where id = v_fan_out.id;
  end if;
  return v_queued;
end
$$;
comment on function public.spread_deliveries is
  'One step of what ingest_messages left to be queued: one batch for one webhook. How many deliveries that made; null where nothing is left.';

revoke all on private.fan_outs from public, anon, authenticated, service_role;
revoke execute on function private.spread_step, public.spread_deliveries from public, anon, authenticated, service_role;
