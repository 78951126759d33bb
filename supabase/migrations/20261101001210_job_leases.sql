-- Leases of jobs: taken, renewed, saved step by step, ended, cancelled.

create function private.list_waiting_jobs(p_most integer) returns private.waiting[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  if not exists (select from public.integration_jobs j where j.status in ('pending', 'running') and j.due_at <= now()) then
    return '{}';
  end if;
  return array(
  -- From each organization to the next, one step along the index: what one has waiting is in no other's way.
  with recursive organizations as (
    (select j.organization_id as id from public.integration_jobs j
      where j.status in ('pending', 'running') order by j.organization_id limit 1)
    union all
    select (select j.organization_id from public.integration_jobs j
             where j.status in ('pending', 'running') and j.organization_id > o.id order by j.organization_id limit 1)
      from organizations o
     where o.id is not null
  ),
  waiting as materialized (
    select o.id from organizations o
     -- Asked of each: joined, all that is due might be read.
     where (
       select true from public.integration_jobs j
        where j.organization_id = o.id and j.status in ('pending', 'running') and j.due_at <= now() limit 1)
  )
  select (w.id, w.organization_id, w.integration_id, w.due_at)::private.waiting
    from waiting o
    cross join lateral (
      select j.id, j.organization_id, j.integration_id, j.due_at
        from public.integration_jobs j
        -- By its id alone, and then whose it is: by organization the planner would read all that it has for each.
        join lateral (select * from public.device_integrations n where n.id = j.integration_id offset 0) i
          on i.organization_id = j.organization_id and i.status <> 'inactive'
       where j.organization_id = o.id and j.status in ('pending', 'running') and j.due_at <= now()
       order by j.due_at
       limit (select 4 + 4 * p_most / greatest(1, count(*)) from waiting)) w);
end
$$;
comment on function private.list_waiting_jobs is 'What is due of each organization, the longest first: of all about four times p_most, the fewer of each the more they are.';

create function private.count_jobs() returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(h.id, h.n), '{}')
    from (
      select coalesce(j.integration_id, j.organization_id) as id, count(*) as n
        from public.integration_jobs j
       where j.status = 'running' and j.due_at > now()
       group by grouping sets ((j.integration_id), (j.organization_id))) h
$$;
comment on function private.count_jobs is 'How many jobs are under way, of each organization and of each integration.';

create function public.lease_jobs(
  p_limit integer, p_lease_seconds integer, p_shares jsonb default '{}', p_bytes integer default 8388608
)
returns table (
  id uuid, lease_token uuid, kind text, request jsonb, state jsonb, progress jsonb, attempts integer, created_at timestamptz,
  integration jsonb
)
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with turns as materialized (
    -- Twice as many as are wanted: some are being taken by others just now.
    select t.id, t.n from unnest(private.take_turns(
      private.list_waiting_jobs(2 * p_limit), private.count_jobs(), 1000, p_shares, 2 * p_limit)) with ordinality t(id, n)
  ),
  locked as (
    select j.id, t.n,
           private.count_bytes(i.settings, i.sealed_sent, i.sealed_kept) + octet_length(j.request::text)
             + coalesce(octet_length(private.show_state(j.state)::text), 0) + coalesce(octet_length(private.show_state(j.progress)::text), 0) as bytes
      from turns t
      join public.integration_jobs j on j.id = t.id and j.status in ('pending', 'running') and j.due_at <= now()
      join private.sealed_integrations i on i.id = j.integration_id and i.organization_id = j.organization_id
     order by t.n
     limit p_limit
     for no key update of j skip locked
  )
  update public.integration_jobs j
     set status = 'running', lease_token = gen_random_uuid(), due_at = now() + make_interval(secs => p_lease_seconds),
         attempts = j.attempts + (j.status = 'running')::integer
    from (select l.id, sum(l.bytes) over (order by l.n) - l.bytes < p_bytes as fits from locked l) f, private.sealed_integrations i
   where f.id = j.id and f.fits and i.id = j.integration_id and i.organization_id = j.organization_id
  returning j.id, j.lease_token, j.kind, j.request, private.show_state(j.state), private.show_state(j.progress), j.attempts, j.created_at, to_jsonb(i);
end
$$;
comment on function public.lease_jobs is
  'Takes up to p_limit due jobs of integrations that are not inactive, with their sealed config: first of who has least under way. '
  'A lease that ran out was a failed try. Together they have about p_bytes, or are one.';

create function public.renew_jobs(p_leases jsonb, p_lease_seconds integer) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_renewed integer;
begin
  update public.integration_jobs j
     set due_at = now() + make_interval(secs => p_lease_seconds)
    from jsonb_to_recordset(p_leases) as l(id uuid, lease_token uuid)
   where j.id = l.id and j.lease_token = l.lease_token
     -- What somebody is changing just now has lost its lease, or is renewed the next time.
     and j.id = any (array(
       select h.id from public.integration_jobs h
        where h.id = any (array(select (g.value ->> 'id')::uuid from jsonb_array_elements(p_leases) g))
          for no key update skip locked));
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
  perform private.bound_state('state', p_state), private.bound_state('progress', p_progress);
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
  'Commits one step: where to go on, and what was done so far, which ends a row of failed tries. PT409 when the lease was lost, PT413 where that is too much to keep.';

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

create function public.finish_job(
  p_job_id uuid, p_lease_token uuid, p_outcome text, p_report jsonb default null, p_error text default null,
  p_retry_seconds double precision default 0, p_certificate jsonb default null
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
  perform private.note_certificate(v_job.integration_id, p_certificate);
  return v_status;
end
$$;
comment on function public.finish_job is
  'Ends a lease. done and failed are final; retry is due again in p_retry_seconds, up to 20 times in a row; again is due then as a '
  'matter of course. p_certificate is when that of the other side begins and ends to hold, in seconds since 1970. PT409 when the lease was lost.';

create function public.cancel_job(p_integration_id uuid, p_job_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_status text;
begin
  select j.status into v_status
    from public.integration_jobs j
   where j.id = p_job_id and j.organization_id = v_organization_id and j.integration_id = p_integration_id
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

create function private.hold_job(p_job_id uuid, p_lease_token uuid) returns public.device_integrations
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations;
begin
  select i.* into v_integration
    from public.integration_jobs j
    join public.device_integrations i on i.id = j.integration_id and i.organization_id = j.organization_id
   where j.id = p_job_id and j.lease_token = p_lease_token
     for share of j;
  if not found then
    perform private.refuse_late_worker();
  end if;
  perform set_config('app.syncing', 'on', true);
  return v_integration;
end
$$;
comment on function private.hold_job is 'The integration of a job whose lease is held, until the end of the transaction; PT409 when it was lost.';

revoke execute on function private.list_waiting_jobs, private.count_jobs, public.lease_jobs, public.renew_jobs, public.save_job, private.log_job, public.finish_job,
  public.cancel_job, private.hold_job from public, anon, authenticated, service_role;
