-- Events that no device said: alerts, and devices that fell silent or came back. They go out through the ordinary deliveries.

create function private.make_event_id() returns uuid
language sql volatile set search_path = ''
as $$
  select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
          || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$;
comment on function private.make_event_id is 'UUID version 7, which rises with time as those of messages do: what is ordered goes by it.';

create table public.integration_events (
  id uuid primary key default private.make_event_id(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid,
  device_id uuid,
  event_type text not null check (event_type ~ '^(alert|device)\.[a-z_]{1,40}$'),
  payload jsonb not null,
  created_at timestamptz not null default now()
);
comment on table public.integration_events is
  'What happened and was told to whoever subscribes: alert.raised, alert.resolved, device.offline, device.online. Outlives its integration. Never holds a secret.';
create index integration_events_organization on public.integration_events (organization_id, created_at);
create index integration_events_age on public.integration_events using brin (created_at) with (autosummarize = on);
alter table public.integration_events enable row level security;
create policy "Members read the events" on public.integration_events
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
insert into private.retention (what, kept, says) values
  ('events', '90 days', 'Alerts and changes of devices that were told, from then on. No shorter than deliveries, which a replay needs.');
insert into private.prune_marks (what) values ('events');

create function private.queue_told(p_event_id uuid, p_webhook_ids uuid[]) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_queued integer;
begin
  with queued as (
    insert into public.webhook_deliveries (
      organization_id, integration_id, event_type, message_id, message_received_at, payload_bytes, ordering_key, recipient)
    select w.organization_id, w.id, e.event_type, e.id, e.created_at, pg_column_size(e.payload),
           case when r.recipient is not null then private.key_person(w.id, r.recipient) else
             case w.settings ->> 'ordered' when 'device' then coalesce(e.device_id, w.id) when 'integration' then w.id end end,
           r.recipient
      from public.integration_events e
      cross join unnest(p_webhook_ids) t(id)
      join lateral (select * from public.device_integrations n where n.id = t.id offset 0) w on w.organization_id = e.organization_id
      cross join lateral unnest(
        case when w.settings ? 'recipients' then private.list_recipients(w.settings, e.payload ->> 'level') else '{null}'::text[] end) r(recipient)
     where e.id = p_event_id and w.status <> 'inactive' and w.settings ? 'events'
    returning integration_id, organization_id
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
    select q.integration_id, q.organization_id, date_trunc('minute', now()), count(*) from queued q group by 1, 2
  )
  select count(*) into v_queued from queued;
  return v_queued;
end
$$;
comment on function private.queue_told is 'Queues an event for these webhooks, and of each for everybody it is to be told to; how many deliveries that made.';

create function private.queue_event(
  p_organization_id uuid, p_integration_id uuid, p_event_type text, p_payload jsonb, p_device_id uuid default null
) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  c_at_once constant integer := 100;
  v_event public.integration_events;
  -- * and device.* are events of devices; alerts are asked for by their name.
  v_names text[] := case when p_event_type like 'alert.%' then array['alert.*', p_event_type] else array['*', 'device.*', p_event_type] end;
  v_webhook_ids uuid[];
  v_many integer;
begin
  if p_organization_id is null then
    return 0;
  end if;
  insert into public.integration_events (organization_id, integration_id, device_id, event_type, payload)
  values (p_organization_id, p_integration_id, p_device_id, p_event_type, p_payload)
  returning * into v_event;
  select array_agg(w.id), sum(case when w.settings ? 'recipients' then cardinality(private.list_recipients(w.settings, p_payload ->> 'level')) else 1 end)
    into v_webhook_ids, v_many
    from public.device_integrations w
    left join public.devices d on d.id = p_device_id and d.organization_id = w.organization_id
   where w.organization_id = p_organization_id and w.status <> 'inactive' and w.settings ? 'events'
     and (w.settings -> 'events') ?| v_names
     -- What is wrong with a webhook never goes to itself.
     and w.id is distinct from p_integration_id
     and (p_device_id is null or w.settings -> 'device_filter' is null
          or d.id is not null and private.wants_device(w.settings -> 'device_filter', d.id, d.external_id, d.device_type));
  if v_webhook_ids is null then
    return 0;
  end if;
  -- What is told to many is not whoever's transaction it came about in.
  if v_many > c_at_once then
    insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, event_id)
    select p_organization_id, w.id, v_event.id, p_integration_id, v_event.id from unnest(v_webhook_ids) w(id);
    return v_many;
  end if;
  return private.queue_told(v_event.id, v_webhook_ids);
end
$$;
comment on function private.queue_event is
  'Writes an event down and queues it for each webhook that asks for it, but for the one it is about; how many deliveries. Where these are more than a '
  'hundred, spread_deliveries makes them. An alert is of no device, so no device_filter holds it back.';

create function public.prune_events(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off
as $$
declare
  v_before timestamptz := private.kept_from('events');
  v_pruned integer;
begin
  delete from public.integration_events
   where ctid = any (array(
     select e.ctid from public.integration_events e where e.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('events', v_pruned < p_limit);
  return jsonb_build_object('events', v_pruned);
end
$$;
comment on function public.prune_events is 'Maintenance: forgets events that were told long ago, in batches.';

revoke all on public.integration_events from public, anon, authenticated, service_role;
revoke execute on function private.make_event_id, private.queue_told, private.queue_event, public.prune_events from public, anon, authenticated, service_role;
