-- Long work on one integration: begun by an admin or a plan, done step by step by whichever worker holds the lease.

create table public.integration_jobs (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  request jsonb not null default '{}' check (jsonb_typeof(request) = 'object' and octet_length(request::text) <= 65536),
  state jsonb not null default '{}',
  status text not null default 'pending' check (status in ('pending', 'running', 'done', 'failed', 'cancelled')),
  progress jsonb not null default '{}',
  report jsonb,
  error text,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  lease_token uuid,
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
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
comment on column public.integration_jobs.attempts is 'Failed tries in a row, those that a crash has ended among them.';
comment on column public.integration_jobs.due_at is 'pending: when to go on; running: when the lease ends and another may take over.';
create unique index integration_jobs_one_open on public.integration_jobs (integration_id, kind)
  where status in ('pending', 'running');
create index integration_jobs_due on public.integration_jobs (due_at) where status in ('pending', 'running');
create index integration_jobs_integration on public.integration_jobs (integration_id, created_at desc, id desc);
create index integration_jobs_kind on public.integration_jobs (integration_id, kind, created_at desc);
create index integration_jobs_organization on public.integration_jobs (organization_id, integration_id);
create index integration_jobs_finished on public.integration_jobs (finished_at) where finished_at is not null;

alter table public.integration_jobs enable row level security;
revoke all on public.integration_jobs from anon, authenticated;
grant select (
  id, organization_id, integration_id, kind, request, status, progress, report, error, attempts, due_at, created_by, created_at,
  finished_at
) on public.integration_jobs to authenticated;
grant insert (organization_id, integration_id, kind, request) on public.integration_jobs to authenticated;
grant select, insert, update, delete on public.integration_jobs to service_role;

create policy "Members see the jobs" on public.integration_jobs
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Admins begin jobs" on public.integration_jobs
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('admin'))));

create function private.wake_jobs() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.integration_jobs
     set status = 'pending', due_at = now(), lease_token = null, attempts = 0
   where integration_id = new.id and status in ('pending', 'running');
  return null;
end
$$;
comment on function private.wake_jobs is
  'A changed integration''s jobs go on at once, with what it is now; whoever held their lease has lost it.';
revoke execute on function private.wake_jobs from public;
create trigger wake_jobs after update of settings, api_key_encrypted, status on public.device_integrations
  for each row
  when (
    (old.settings is distinct from new.settings
     or old.api_key_encrypted is distinct from new.api_key_encrypted
     or (old.status = 'inactive') <> (new.status = 'inactive'))
    and current_setting('app.resealing', true) is distinct from 'on'
  )
  execute function private.wake_jobs();

create function public.lease_jobs(p_limit integer, p_lease_seconds integer)
returns table (
  id uuid, kind text, request jsonb, state jsonb, progress jsonb, attempts integer, created_at timestamptz, lease_token uuid,
  integration jsonb
)
language sql volatile set search_path = ''
as $$
  update public.integration_jobs j
     set status = 'running', lease_token = gen_random_uuid(), due_at = now() + make_interval(secs => p_lease_seconds),
         attempts = j.attempts + (j.status = 'running')::integer
    from public.device_integrations i
   where j.id = any (array(
           select d.id from public.integration_jobs d
             join public.device_integrations a on a.id = d.integration_id and a.status <> 'inactive'
            where d.status in ('pending', 'running') and d.due_at <= now()
            order by d.due_at
            limit p_limit
            for update of d skip locked))
     and i.id = j.integration_id
  returning j.id, j.kind, j.request, j.state, j.progress, j.attempts, j.created_at, j.lease_token,
            jsonb_build_object(
              'id', i.id, 'organization_id', i.organization_id, 'integration_type', i.integration_type, 'name', i.name,
              'settings', i.settings, 'api_key_encrypted', i.api_key_encrypted)
$$;
comment on function public.lease_jobs is
  'Takes up to p_limit due jobs of integrations that are not inactive, with their sealed config. A lease that ran out was a failed try.';

create function public.renew_jobs(p_leases jsonb, p_lease_seconds integer) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_renewed integer;
begin
  update public.integration_jobs j
     set due_at = now() + make_interval(secs => p_lease_seconds)
    from jsonb_to_recordset(p_leases) as l(id uuid, lease_token uuid)
   where j.id = l.id and j.lease_token = l.lease_token;
  get diagnostics v_renewed = row_count;
  return v_renewed;
end
$$;
comment on function public.renew_jobs is 'Extends the leases that are still held, [{id, lease_token}]; how many those were.';

create function public.save_job(
  p_job_id uuid, p_lease_token uuid, p_state jsonb, p_progress jsonb, p_lease_seconds integer
) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.integration_jobs
     set state = p_state, due_at = now() + make_interval(secs => p_lease_seconds),
         attempts = case when progress is distinct from p_progress then 0 else attempts end, progress = p_progress
   where id = p_job_id and lease_token = p_lease_token;
  if not found then
    perform private.refuse_late_worker();
  end if;
end
$$;
comment on function public.save_job is
  'Commits one step: where to go on, and what was done so far, which ends a row of failed tries. PT409 when the lease was lost.';

create function private.log_job(p_job public.integration_jobs, p_was_error text) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  select p_job.organization_id, p_job.integration_id, l.kind, l.level, l.message,
         jsonb_build_object('job_id', p_job.id, 'kind', p_job.kind, 'attempts', p_job.attempts)
    from (
      select 'job.failed' as kind, 'error' as level, coalesce(p_job.error, 'The job failed.') as message
       where p_job.status = 'failed'
      union all
      select 'job.delayed', 'warning', p_job.error
       where p_job.status = 'pending' and p_job.error is not null and p_was_error is null
      union all
      select 'job.recovered', 'info', 'What had failed works again.'
       where p_job.status in ('pending', 'done') and p_job.error is null and p_was_error is not null
    ) l
$$;
comment on function private.log_job is 'Says in the activity that a job fails, once for a row of failed tries, and that it works again.';
revoke execute on function private.log_job from public;
grant execute on function private.log_job to service_role;

create function public.finish_job(
  p_job_id uuid, p_lease_token uuid, p_outcome text, p_report jsonb default null, p_error text default null,
  p_retry_seconds double precision default 0
) returns text
language plpgsql volatile set search_path = ''
as $$
declare
  v_most_attempts constant integer := 20;
  v_before public.integration_jobs;
  v_job public.integration_jobs;
  v_status text;
begin
  select * into v_before
    from public.integration_jobs where id = p_job_id and lease_token = p_lease_token
     for update;
  if not found then
    perform private.refuse_late_worker();
  end if;
  v_status := case
    when p_outcome in ('done', 'failed') then p_outcome
    when p_outcome = 'retry' and v_before.attempts + 1 >= v_most_attempts then 'failed'
    when p_outcome in ('retry', 'again') then 'pending'
  end;
  if v_status is null then
    raise exception 'p_outcome is done, failed, retry or again.' using errcode = '22023';
  end if;
  update public.integration_jobs
     set status = v_status, lease_token = null, report = coalesce(p_report, report), error = left(p_error, 2000),
         attempts = case p_outcome when 'again' then 0 when 'retry' then attempts + 1 else attempts end,
         due_at = now() + p_retry_seconds * interval '1 second',
         finished_at = case when v_status <> 'pending' then now() end
   where id = p_job_id
  returning * into v_job;
  perform private.log_job(v_job, v_before.error);
  return v_status;
end
$$;
comment on function public.finish_job is
  'Ends a lease. done and failed are final; retry is due again in p_retry_seconds, up to 20 times in a row; again is due then as a '
  'matter of course. PT409 when the lease was lost.';

create function public.cancel_job(p_integration_id uuid, p_job_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_status text;
begin
  perform private.administer_integration(p_integration_id);
  select j.status into v_status
    from public.integration_jobs j where j.id = p_job_id and j.integration_id = p_integration_id
     for update;
  if not found then
    raise exception 'This integration has no such job.' using errcode = 'PT404';
  end if;
  if v_status in ('done', 'failed') then
    raise exception 'This job is % already; only one that is not finished can be cancelled.', v_status
      using errcode = 'PT409', hint = 'wrong_status';
  end if;
  if v_status <> 'cancelled' then
    update public.integration_jobs set status = 'cancelled', lease_token = null, finished_at = now() where id = p_job_id;
    perform private.log_queue_change(
      p_integration_id, 'job.cancelled', 'A job was cancelled.', jsonb_build_object('job_id', p_job_id));
  end if;
end
$$;
comment on function public.cancel_job is
  'Ends a job that is not finished; a step that is under way may still have its effect outside. PT409 once it is done or failed.';

create function public.prune_jobs(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_pruned integer;
begin
  delete from public.integration_jobs
   where ctid = any (array(
     select j.ctid from public.integration_jobs j
      where j.finished_at < now() - interval '1 day'
        and (j.finished_at < now() - interval '30 days' or (j.status = 'done' and j.created_by is null))
        -- The last one of its kind says when the next is due.
        and exists (
          select from public.integration_jobs n
           where n.integration_id = j.integration_id and n.kind = j.kind and n.created_at > j.created_at)
      limit p_limit));
  get diagnostics v_pruned = row_count;
  return jsonb_build_object('jobs', v_pruned);
end
$$;
comment on function public.prune_jobs is
  'Maintenance: forgets finished jobs after 30 days, and after one those that a plan began and that went well, in batches.';

revoke execute on function public.lease_jobs, public.renew_jobs, public.save_job, public.finish_job, public.prune_jobs
  from public, anon, authenticated;
grant execute on function public.lease_jobs, public.renew_jobs, public.save_job, public.finish_job, public.prune_jobs
  to service_role;
revoke execute on function public.cancel_job from public, anon, service_role;
grant execute on function public.cancel_job to authenticated;

do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    alter publication supabase_realtime add table public.integration_jobs;
  end if;
end
$$;
