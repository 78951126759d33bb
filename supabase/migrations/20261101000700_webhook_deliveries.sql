-- The outgoing queue. A delivery is a thin row that points at its message; each attempt is recorded.

create table public.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid,
  event_type text not null,
  message_id uuid not null,
  message_received_at timestamptz not null,
  status text not null default 'pending' check (status in ('pending', 'delivering', 'delivered', 'dead', 'cancelled')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_token uuid,
  created_at timestamptz not null default now(),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete set null (integration_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table public.webhook_deliveries is 'One message or event on its way to one webhook. Its id is the webhook-id, the same over all attempts.';
comment on column public.webhook_deliveries.due_at is 'pending: when to try; delivering: when the lease ends and another may try.';
create index webhook_deliveries_due on public.webhook_deliveries (integration_id, due_at)
  where status in ('pending', 'delivering');
create index webhook_deliveries_organization on public.webhook_deliveries (organization_id, created_at, id);
create index webhook_deliveries_integration on public.webhook_deliveries (integration_id, created_at, id);

alter table public.webhook_deliveries enable row level security;
revoke all on public.webhook_deliveries from anon, authenticated;
grant select (
  id, organization_id, integration_id, event_type, message_id, message_received_at, status, attempts, due_at, created_at
) on public.webhook_deliveries to authenticated;
grant select, insert, update, delete on public.webhook_deliveries to service_role;

create policy "Members see their deliveries" on public.webhook_deliveries
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table public.webhook_attempts (
  id bigint generated always as identity primary key,
  delivery_id uuid not null references public.webhook_deliveries (id) on delete cascade,
  organization_id uuid not null,
  attempt integer not null,
  started_at timestamptz not null,
  milliseconds integer not null,
  status_code integer,
  error text,
  reply text check (octet_length(reply) <= 65536)
);
comment on table public.webhook_attempts is 'Each try of a delivery: when, how long, the answer or what went wrong in words.';
create index webhook_attempts_delivery on public.webhook_attempts (delivery_id, attempt);

alter table public.webhook_attempts enable row level security;
revoke all on public.webhook_attempts from anon, authenticated;
grant select on public.webhook_attempts to authenticated;
grant select, insert, update, delete on public.webhook_attempts to service_role;

create policy "Members see the attempts" on public.webhook_attempts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.cancel_deliveries() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.webhook_deliveries
     set status = 'cancelled', lease_token = null
   where integration_id = old.id and status in ('pending', 'delivering');
  return old;
end
$$;
comment on function private.cancel_deliveries is 'A deleted integration takes its pending deliveries off the queue; what was delivered stays on record.';
revoke execute on function private.cancel_deliveries from public;
create trigger cancel_deliveries before delete on public.device_integrations
  for each row execute function private.cancel_deliveries();

create function public.lease_deliveries(p_limit integer, p_lease_seconds integer) returns json
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_token uuid := gen_random_uuid();
  v_leased json;
begin
  with leased as (
    update public.webhook_deliveries d
       set status = 'delivering', attempts = d.attempts + 1, lease_token = v_token,
           due_at = now() + make_interval(secs => p_lease_seconds)
     where d.id = any (array(
             select due.id
               from public.device_integrations i
               cross join lateral (
                 select q.id from public.webhook_deliveries q
                  where q.integration_id = i.id and q.status in ('pending', 'delivering') and q.due_at <= now()
                  order by q.due_at
                  limit greatest(0, coalesce((i.settings ->> 'max_concurrent')::integer, 10) - (
                    select count(*) from public.webhook_deliveries f
                     where f.integration_id = i.id and f.status = 'delivering' and f.due_at > now()))
                  for update skip locked
               ) due
              where i.status <> 'inactive' and i.settings ? 'events'
              limit p_limit))
    returning d.*
  ),
  subscribers as (
    select i.id, i.organization_id, i.integration_type, i.name, i.settings, i.api_key_encrypted
      from public.device_integrations i
     where i.id in (select l.integration_id from leased l)
  )
  select json_build_object(
    'integrations', coalesce((select json_object_agg(s.id, to_json(s)) from subscribers s), '{}'),
    'deliveries', coalesce((
      select json_agg(json_build_object(
               'id', l.id, 'lease_token', l.lease_token, 'integration_id', l.integration_id, 'attempts', l.attempts,
               'event_type', l.event_type, 'kind', m.kind, 'topic', m.topic, 'payload', m.payload,
               'observed_at', m.observed_at, 'source', json_build_object(
                 'integration_id', m.integration_id, 'integration_type', o.integration_type, 'name', o.name),
               'device', case when v.id is not null then
                 json_build_object('id', v.id, 'external_id', v.external_id, 'name', v.name) end)
             order by l.created_at, l.id)
        from leased l
        left join public.device_messages m on m.id = l.message_id and m.received_at = l.message_received_at
        left join public.device_integrations o on o.organization_id = m.organization_id and o.id = m.integration_id
        left join public.devices v on v.organization_id = m.organization_id and v.id = m.device_id), '[]'))
    into v_leased;
  return v_leased;
end
$$;
comment on function public.lease_deliveries is
  'Takes due deliveries, within each integration''s max_concurrent, with their messages and the sealed config of their webhooks.';

create function public.finish_deliveries(p_results jsonb) returns jsonb
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_counts jsonb;
begin
  with results as (
    select r.* from jsonb_to_recordset(p_results) as r(
      id uuid, lease_token uuid, outcome text, retry_seconds double precision, started_at timestamptz,
      milliseconds integer, status_code integer, error text, reply text)
  ),
  finished as (
    update public.webhook_deliveries d
       set status = case when r.outcome = 'retry' then 'pending' else r.outcome end,
           due_at = case when r.outcome = 'retry' then now() + r.retry_seconds * interval '1 second' else d.due_at end,
           lease_token = null
      from results r
     where d.id = r.id and d.lease_token = r.lease_token and d.status = 'delivering'
       and r.outcome in ('delivered', 'retry', 'dead')
    returning d.id, d.organization_id, d.attempts, r.outcome, r.started_at, r.milliseconds, r.status_code, r.error, r.reply
  ),
  recorded as (
    insert into public.webhook_attempts
      (delivery_id, organization_id, attempt, started_at, milliseconds, status_code, error, reply)
    select f.id, f.organization_id, f.attempts, f.started_at, f.milliseconds, f.status_code, f.error, f.reply from finished f
    returning 1
  )
  select jsonb_build_object(
    'delivered', count(*) filter (where f.outcome = 'delivered'),
    'retried', count(*) filter (where f.outcome = 'retry'),
    'dead', count(*) filter (where f.outcome = 'dead'),
    'late', (select count(*) from results) - count(*))
    into v_counts
    from finished f;
  return v_counts;
end
$$;
comment on function public.finish_deliveries is
  'Records a batch of attempts and moves their deliveries on; a result whose lease was lost is counted as late and changes nothing.';
revoke execute on function public.lease_deliveries, public.finish_deliveries from public, anon, authenticated;
grant execute on function public.lease_deliveries, public.finish_deliveries to service_role;
