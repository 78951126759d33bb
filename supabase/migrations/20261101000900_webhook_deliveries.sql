-- The outgoing queue. A delivery is a thin row that points at its message; each attempt is recorded.

create table public.webhook_deliveries (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  event_type text not null,
  message_id uuid not null,
  message_received_at timestamptz not null,
  payload_bytes integer not null default 0,
  status text not null default 'pending' check (status in ('pending', 'delivering', 'delivered', 'dead', 'cancelled')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_token uuid,
  created_at timestamptz not null default now(),
  ordering_key uuid,
  replayed_at timestamptz,
  recipient text check (length(recipient) <= 100),
  gathered_by uuid,
  tried_at timestamptz,
  reference text check (length(reference) <= 500),
  report text check (length(report) <= 40),
  stage smallint generated always as (
    case when gathered_by is null then case status
      when 'pending' then case
        when ordering_key is not null then 3 when replayed_at is not null then 4 when attempts > 0 then 1 else 0
      end
      when 'delivering' then 2
    end end) stored
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
comment on table public.webhook_deliveries is 'One message or event on its way to one webhook. Its id is the webhook-id, the same over all attempts.';
comment on column public.webhook_deliveries.integration_id is
  'The webhook, which the record of its deliveries outlives. No foreign key: with a month of them it could not be deleted.';
comment on column public.webhook_deliveries.payload_bytes is 'About how large the message''s payload is: a lease takes no more of them than whoever sends them can hold.';
comment on column public.webhook_deliveries.due_at is 'pending: when to try; delivering: when the lease ends and another may try.';
comment on column public.webhook_deliveries.ordering_key is 'Of an ordered webhook: its device or itself; for people whom it is for. Of one key the oldest goes out, and what follows waits for its end.';
comment on column public.webhook_deliveries.replayed_at is
  'When somebody last asked to send it again. From then on it is one attempt, never rescheduled, whatever the schedule says.';
comment on column public.webhook_deliveries.recipient is 'Of an integration that tells people: for whom, by the name in its recipients. One delivery for each event and recipient.';
comment on column public.webhook_deliveries.gathered_by is 'The delivery whose message tells of this one too; it ends as that one does.';
comment on column public.webhook_deliveries.tried_at is 'For people: when its message was first on its way, which their rates are counted by.';
comment on column public.webhook_deliveries.reference is 'For people: what the other side calls the message.';
comment on column public.webhook_deliveries.report is 'For people: what the other side last reported of the message, such as delivered or read; again, once another is to take its place.';
comment on column public.webhook_deliveries.stage is 'Where it waits: 0 first try, 1 retry, 2 under way, 3 for its turn in an order, 4 replay; null once it has ended, or goes along with another.';
alter table public.webhook_deliveries enable row level security;
create policy "Members see their deliveries" on public.webhook_deliveries
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

-- The hot part: finished rows are in neither, however many there are.
create index webhook_deliveries_queue on public.webhook_deliveries (organization_id, integration_id, stage, due_at)
  where stage is not null;
create index webhook_deliveries_order on public.webhook_deliveries (integration_id, organization_id, ordering_key, message_id)
  where ordering_key is not null and stage is not null;
create index webhook_deliveries_organization on public.webhook_deliveries (organization_id, created_at, id);
create index webhook_deliveries_integration on public.webhook_deliveries (integration_id, created_at, id);
create index webhook_deliveries_dead on public.webhook_deliveries (integration_id, organization_id, created_at, id)
  where status = 'dead';
create index webhook_deliveries_replays on public.webhook_deliveries (integration_id, organization_id, due_at)
  where status in ('pending', 'delivering') and replayed_at is not null;

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
create index webhook_attempts_organization on public.webhook_attempts (organization_id, id);

alter table public.webhook_attempts enable row level security;
create policy "Members see the attempts" on public.webhook_attempts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.end_as_cancelled(p_ids uuid[]) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_cancelled integer;
begin
  with ended as (
    update public.webhook_deliveries d
       set status = 'cancelled', lease_token = null
     where d.id = any (p_ids) and d.stage is not null
    returning d.integration_id, d.organization_id
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, cancelled)
    select e.integration_id, e.organization_id, date_trunc('minute', now()), count(*) from ended e group by 1, 2
  )
  select count(*) into v_cancelled from ended;
  return v_cancelled;
end
$$;
comment on function private.end_as_cancelled is 'Takes deliveries off the queue that are on it still; how many.';

create function private.cancel_deliveries() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.end_as_cancelled(array(
    select d.id from public.webhook_deliveries d
     where d.integration_id = old.id and d.organization_id = old.organization_id and d.stage is not null
     limit 10000));
  return old;
end
$$;
comment on function private.cancel_deliveries is
  'A deleted integration takes its pending deliveries off the queue, those over ten thousand with the next maintenance; what was delivered stays on record.';

create trigger cancel_deliveries before delete on public.device_integrations
  for each row execute function private.cancel_deliveries();

create function private.end_replay() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.status := 'dead';
  new.due_at := old.due_at;
  return new;
end
$$;
comment on function private.end_replay is 'A replay that failed is not tried again.';
create trigger end_replay before update of status on public.webhook_deliveries
  for each row
  -- What was given back unsent has not had its attempt.
  when (
    old.replayed_at is not null and old.status = 'delivering' and new.status = 'pending' and new.attempts = old.attempts
  )
  execute function private.end_replay();

revoke all on public.webhook_deliveries from public, anon, authenticated, service_role;
revoke all on public.webhook_attempts from public, anon, authenticated, service_role;
revoke all on sequence public.webhook_attempts_id_seq from public, anon, authenticated, service_role;
revoke execute on function private.end_as_cancelled, private.cancel_deliveries, private.end_replay from public, anon, authenticated,
  service_role;
