-- When each integration is due. One due_at is schedule, lease and backoff; the token fences late workers.

create table public.integration_schedules (
  integration_id uuid primary key,
  organization_id uuid not null,
  due_at timestamptz not null default now(),
  lease_token uuid,
  attempts integer not null default 0,
  state jsonb not null default '{}',
  connected_to timestamptz,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 60);
comment on table public.integration_schedules is 'Service only. due_at in the future with a token is a lease, without one a plan or a backoff; infinity is parked.';
comment on column public.integration_schedules.attempts is 'Failed sessions in a row.';
comment on column public.integration_schedules.connected_to is
  'Of a session that keeps a connection: up to when that is counted in integration_metrics. Null where there is none.';
comment on column public.integration_schedules.state is 'What the provider keeps between sessions; saved with each batch, in its transaction.';
alter table public.integration_schedules enable row level security;

create index integration_schedules_due on public.integration_schedules (due_at);
create index integration_schedules_turn on public.integration_schedules (organization_id, due_at);
create index integration_schedules_held on public.integration_schedules (organization_id, due_at) where lease_token is not null;

create function private.schedule_integration() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.integration_schedules as s (integration_id, organization_id, due_at)
  values (new.id, new.organization_id, case when new.status = 'inactive' then 'infinity' else now() end)
  on conflict (integration_id) do update
    set due_at = excluded.due_at, lease_token = null, attempts = 0;
  return null;
end
$$;
comment on function private.schedule_integration is
  'A new or changed integration is due at once and an inactive one never; whoever held its lease has lost it.';

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
revoke execute on function private.schedule_integration from public, anon, authenticated, service_role;
