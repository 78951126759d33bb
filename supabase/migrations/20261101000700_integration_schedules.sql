-- When each integration is due. One due_at is schedule, lease and backoff; the token fences late workers.

create table public.integration_schedules (
  integration_id uuid not null,
  slot smallint not null default 0 check (slot >= 0),
  slots smallint not null default 1 check (slots between 1 and 16),
  organization_id uuid not null,
  due_at timestamptz not null default now(),
  lease_token uuid,
  attempts integer not null default 0,
  state jsonb not null default '{}',
  connected_to timestamptz,
  holder uuid,
  lag bigint,
  summary jsonb,
  primary key (integration_id, slot),
  check (slot < slots),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 60);
comment on table public.integration_schedules is 'Service only. due_at in the future with a token is a lease, without one a plan or a backoff; infinity is parked.';
comment on column public.integration_schedules.slot is
  'Which of the slots this is: each is leased by itself, and reads what falls to it. All but those that say parallel_sessions have one.';
comment on column public.integration_schedules.holder is 'Of several slots: the process that leased it last.';
comment on column public.integration_schedules.lag is 'How much the other side has still to be read, where the state says so.';
comment on column public.integration_schedules.summary is 'Of several slots: what its last session did; last_session is the sum.';
comment on column public.integration_schedules.attempts is 'Failed sessions in a row.';
comment on column public.integration_schedules.connected_to is
  'Of a session that keeps a connection: up to when that is counted in integration_metrics. Null where there is none.';
comment on column public.integration_schedules.state is 'What the provider keeps between sessions; saved with each batch, in its transaction.';
alter table public.integration_schedules enable row level security;

create index integration_schedules_due on public.integration_schedules (due_at);
create index integration_schedules_turn on public.integration_schedules (organization_id, due_at);
create index integration_schedules_held on public.integration_schedules (organization_id, due_at) where lease_token is not null;

create function private.sum_lag(p_integration_id uuid) returns bigint
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (select sum(s.lag) from public.integration_schedules s where s.integration_id = p_integration_id);
end
$$;
comment on function private.sum_lag is 'How much is still to be read for an integration, over all of its slots; null where nobody says.';

create function private.schedule_integration() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_due_at timestamptz := case when new.status = 'inactive' then 'infinity' else now() end;
begin
  if tg_op = 'UPDATE' and private.count_slots(old.settings) <> private.count_slots(new.settings) then
    perform private.share_session(new.id, private.count_slots(new.settings));
  end if;
  update public.integration_schedules s set due_at = v_due_at, lease_token = null, attempts = 0 where s.integration_id = new.id;
  if not found then
    insert into public.integration_schedules (integration_id, organization_id, due_at) values (new.id, new.organization_id, v_due_at);
  end if;
  return null;
end
$$;
comment on function private.schedule_integration is
  'A new or changed integration is due at once and an inactive one never; whoever held one of its leases has lost it.';

create trigger schedule_new_integration after insert on public.device_integrations
  for each row execute function private.schedule_integration();
create trigger reschedule_changed_integration after update of settings, seal_count, status on public.device_integrations
  for each row
  when (
    old.settings is distinct from new.settings
    or old.seal_count <> new.seal_count
    or (old.status = 'inactive') <> (new.status = 'inactive')
  )
  execute function private.schedule_integration();

revoke all on public.integration_schedules from public, anon, authenticated, service_role;
revoke execute on function private.schedule_integration, private.sum_lag from public, anon, authenticated, service_role;
