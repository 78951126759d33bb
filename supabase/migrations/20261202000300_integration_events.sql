-- Events that no device said: alerts, and devices that fell silent or came back. They go out through the ordinary deliveries.

create table public.integration_events (
  id uuid primary key default gen_random_uuid(),
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

create function private.queue_event(
  p_organization_id uuid, p_integration_id uuid, p_event_type text, p_payload jsonb, p_device_id uuid default null
) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_event public.integration_events;
  -- * and device.* are events of devices; alerts are asked for by their name.
  v_names text[] := case when p_event_type like 'alert.%' then array['alert.*', p_event_type] else array['*', 'device.*', p_event_type] end;
  v_queued integer;
begin
  if p_organization_id is null then
    return 0;
  end if;
  insert into public.integration_events (organization_id, integration_id, device_id, event_type, payload)
  values (p_organization_id, p_integration_id, p_device_id, p_event_type, p_payload)
  returning * into v_event;
  insert into public.webhook_deliveries (
    organization_id, integration_id, event_type, message_id, message_received_at, payload_bytes, ordering_key)
  select w.organization_id, w.id, v_event.event_type, v_event.id, v_event.created_at, pg_column_size(v_event.payload),
         case w.settings ->> 'ordered' when 'device' then coalesce(p_device_id, w.id) when 'integration' then w.id end
    from public.device_integrations w
    left join public.devices d on d.id = p_device_id and d.organization_id = w.organization_id
   where w.organization_id = p_organization_id and w.status <> 'inactive' and w.settings ? 'events'
     and (w.settings -> 'events') ?| v_names
     -- What is wrong with a webhook never goes to itself.
     and w.id is distinct from p_integration_id
     and (p_device_id is null or w.settings -> 'device_filter' is null
          or d.id is not null and private.wants_device(w.settings -> 'device_filter', d.id, d.external_id, d.device_type));
  get diagnostics v_queued = row_count;
  return v_queued;
end
$$;
comment on function private.queue_event is
  'Writes an event down and queues it for each webhook that asks for it, but for the one it is about; how many. An alert is of no device, so no device_filter holds it back.';

create or replace function private.lease_picked(p_picked uuid[], p_lease_seconds integer) returns json
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan set lock_timeout = '100ms'
as $$
declare
  v_token uuid := gen_random_uuid();
  v_leased json;
begin
  with leased as (
    update public.webhook_deliveries d
       set status = 'delivering', attempts = d.attempts + 1, lease_token = v_token,
           due_at = now() + make_interval(secs => p_lease_seconds)
     where d.id = any (p_picked) and d.status = 'pending'
    returning d.*
  ),
  served as (
    update public.webhook_endpoints e set leased_at = clock_timestamp()
     where e.integration_id = any (array(select distinct l.integration_id from leased l))
  )
  select json_build_object(
    'integrations', private.show_integrations(array(select distinct l.integration_id from leased l)),
    'deliveries', coalesce((
      select json_agg(s order by s.created_at, s.id)
        from (
          -- Rows, not built objects: Postgres puts each on a line of its own, so that where one can't be read, the others can.
          select l.id, l.lease_token, l.integration_id, l.organization_id, l.attempts, l.payload_bytes, l.event_type, l.created_at,
                 coalesce(m.kind, case when l.event_type like 'alert.%' then 'alert' else 'event' end) as kind,
                 m.topic, coalesce(m.payload, e.payload) as payload, coalesce(m.observed_at, e.created_at) as observed_at,
                 json_build_object(
                   'integration_id', coalesce(m.integration_id, e.integration_id), 'integration_type', o.integration_type, 'name', o.name) as source,
                 case when coalesce(v.external_id, m.external_id) is not null then
                   json_build_object('id', v.id, 'external_id', coalesce(v.external_id, m.external_id), 'name', v.name) end as device
            from leased l
            -- By the key alone, and then whose it is: by organization and time the planner would read all of its batch for each.
            left join lateral (
              select * from public.device_messages n where n.id = l.message_id and n.received_at = l.message_received_at offset 0) m
              on m.organization_id = l.organization_id
            left join public.integration_events e
              on m.id is null and e.id = l.message_id and e.organization_id = l.organization_id
            left join public.device_integrations o
              on o.organization_id = l.organization_id and o.id = coalesce(m.integration_id, e.integration_id)
            left join public.devices v on v.organization_id = l.organization_id and v.id = coalesce(m.device_id, e.device_id)) s), '[]'))
    into v_leased;
  return v_leased;
end
$$;

create or replace function private.has_message(p_organization_id uuid, p_message_id uuid, p_received_at timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  -- By the key alone, and then whose it is: by organization and time the planner would read all of its batch for each.
  return exists (
      select from (select m.organization_id from public.device_messages m where m.id = p_message_id and m.received_at = p_received_at offset 0) m
       where m.organization_id = p_organization_id)
    or exists (
      select from public.integration_events e where e.id = p_message_id and e.organization_id = p_organization_id);
end
$$;
comment on function private.has_message is 'Whether the message or event of a delivery is still there: it may be past its retention.';

create function public.prune_events(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before timestamptz := private.kept_from('events');
  v_pruned integer;
begin
  delete from public.integration_events
   where ctid = any (array(
     select e.ctid from public.integration_events e where e.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  return jsonb_build_object('events', v_pruned);
end
$$;
comment on function public.prune_events is 'Maintenance: forgets events that were told long ago, in batches.';

revoke all on public.integration_events from public, anon, authenticated, service_role;
revoke execute on function private.queue_event, public.prune_events from public, anon, authenticated, service_role;
