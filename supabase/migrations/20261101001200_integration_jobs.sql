-- Long work on one integration: begun by an admin or a plan, done step by step by whichever worker holds the lease.

create table public.integration_jobs (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  request jsonb not null default '{}' check (jsonb_typeof(request) = 'object'),
  state jsonb not null default '{}',
  status text not null default 'pending' check (status in ('pending', 'running', 'done', 'failed', 'cancelled')),
  progress jsonb not null default '{}',
  report jsonb,
  error text,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_token uuid,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 60);
comment on table public.integration_jobs is
  'One piece of long work; of each kind an integration has one at a time that is not finished. Never holds a secret.';
comment on column public.integration_jobs.request is 'What was asked for; the kind''s own fields.';
comment on column public.integration_jobs.state is 'Service only: where to go on, saved with each step.';
comment on column public.integration_jobs.progress is 'What was done so far, for people.';
comment on column public.integration_jobs.report is 'What came of it, once it is finished.';
comment on column public.integration_jobs.error is 'Why the last try failed; null once one has got further.';
comment on column public.integration_jobs.created_by is 'Who began it, whether there is such a user any more or not; null where a plan did.';
comment on column public.integration_jobs.attempts is 'Failed tries in a row, those that a crash has ended among them.';
comment on column public.integration_jobs.due_at is 'pending: when to go on; running: when the lease ends and another may take over.';
create unique index integration_jobs_one_open on public.integration_jobs (integration_id, organization_id, kind)
  where status in ('pending', 'running');
create index integration_jobs_due on public.integration_jobs (due_at) where status in ('pending', 'running');
create index integration_jobs_turn on public.integration_jobs (organization_id, due_at) where status in ('pending', 'running');
create index integration_jobs_integration on public.integration_jobs (integration_id, created_at desc, id desc);
create index integration_jobs_kind on public.integration_jobs (integration_id, kind, created_at desc);
create index integration_jobs_organization on public.integration_jobs (organization_id, integration_id);
create index integration_jobs_finished on public.integration_jobs (finished_at) where finished_at is not null;
create index integration_jobs_planned on public.integration_jobs (finished_at) where status = 'done' and created_by is null;

alter table public.integration_jobs enable row level security;
create policy "Members see the jobs" on public.integration_jobs
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Admins begin jobs" on public.integration_jobs
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('admin'))));

create table private.job_kinds (
  kind text primary key
);
comment on table private.job_kinds is 'What users may begin. A kind that is new brings its row along.';
comment on column private.job_kinds.kind is 'As in integration_jobs.';
alter table private.job_kinds enable row level security;
insert into private.job_kinds (kind) values ('backfill'), ('provision'), ('rollout'), ('sync');

create function private.check_kind() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if not exists (select from private.job_kinds k where k.kind = new.kind) then
    raise exception 'kind: expected one of %.', (select string_agg(k.kind, ', ' order by k.kind) from private.job_kinds k)
      using errcode = '22023';
  end if;
  return new;
end
$$;
comment on function private.check_kind is 'Keeps work that nobody knows how to do out of the queue that all share.';
create trigger check_kind before insert on public.integration_jobs
  for each row when (current_user = 'authenticated') execute function private.check_kind();
create trigger check_portable before insert or update of request on public.integration_jobs
  for each row execute function private.check_portable('request', '16384');
create trigger charge_statement before insert on public.integration_jobs
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();
create trigger check_quota after insert on public.integration_jobs referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('open_jobs', 'jobs');

create function private.wake_jobs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.integration_jobs
     set status = 'pending', due_at = now(), lease_token = null, attempts = 0
   where integration_id = new.id and organization_id = new.organization_id and status in ('pending', 'running');
  return null;
end
$$;
comment on function private.wake_jobs is
  'A changed integration''s jobs go on at once, with what it is now; whoever held their lease has lost it.';

create trigger wake_jobs after update of settings, seal_count, status on public.device_integrations
  for each row
  when (
    old.settings is distinct from new.settings
    or old.seal_count <> new.seal_count
    or (old.status = 'inactive') <> (new.status = 'inactive')
  )
  execute function private.wake_jobs();

revoke all on public.integration_jobs, private.job_kinds from public, anon, authenticated, service_role;
revoke execute on function private.check_kind, private.wake_jobs from public, anon, authenticated, service_role;
