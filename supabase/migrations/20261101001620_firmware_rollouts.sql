-- The life of a rollout: asked for by an admin, begun and followed by the scheduler, ended, or taken back.

create function public.start_rollout(p_integration_id uuid, p_rollout jsonb) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_older public.firmware_rollouts;
  v_id uuid;
begin
  for v_older in
    select * from public.firmware_rollouts r
     where r.organization_id = v_organization_id and r.integration_id = p_integration_id and r.target = p_rollout -> 'target' and r.status in ('starting', 'running')
       and (p_rollout ->> 'replace')::boolean
       for update
  loop
    perform private.end_rollout(v_older, 'cancelled', format('Replaced by %s.', p_rollout ->> 'name'));
  end loop;
  if (select count(*) >= 50 from public.firmware_rollouts r
       where r.organization_id = v_organization_id and r.integration_id = p_integration_id
         and r.status in ('starting', 'running')) then
    raise exception 'This integration has 50 open rollouts already; wait for the end of one.'
      using errcode = 'PT409', hint = 'wrong_status';
  end if;
  insert into public.firmware_rollouts (organization_id, integration_id, name, target, artifacts, ends_at)
  values (
    v_organization_id, p_integration_id, p_rollout ->> 'name', p_rollout -> 'target', p_rollout -> 'artifacts',
    now() + make_interval(secs => least((p_rollout ->> 'time_limit_seconds')::double precision, 7776000)))
  returning id into v_id;
  insert into public.integration_jobs as j (organization_id, integration_id, kind)
  values (v_organization_id, p_integration_id, 'rollout')
  on conflict (integration_id, organization_id, kind) where status in ('pending', 'running') do update
    set due_at = now() where j.status = 'pending';
  return v_id;
exception when unique_violation then
  raise exception 'A rollout to this target is still open: wait for its end, cancel it, or send "replace": true.'
    using errcode = 'PT409', hint = 'wrong_status';
end
$$;
comment on function public.start_rollout is
  'For admins: the intent of a rollout {name, target, artifacts, time_limit_seconds, replace}; its id. PT409 while one to this target is open and not replaced.';

create function public.plan_rollouts() returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_begun integer;
begin
  insert into public.integration_jobs (organization_id, integration_id, kind)
  select distinct r.organization_id, r.integration_id, 'rollout'
    from public.firmware_rollouts r
   where r.status in ('starting', 'running')
     and not exists (
       select from public.integration_jobs j
        where j.integration_id = r.integration_id and j.organization_id = r.organization_id and j.kind = 'rollout'
          and (j.status in ('pending', 'running') or (j.status = 'failed' and j.finished_at > now() - interval '10 minutes')))
   limit 100
  on conflict do nothing;
  get diagnostics v_begun = row_count;
  return v_begun;
end
$$;
comment on function public.plan_rollouts is
  'Sees to it that open rollouts are followed, whatever became of the job that did; ten minutes after one that failed.';

create function public.cancel_rollout(p_integration_id uuid, p_rollout_id uuid, p_withdrawn boolean) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_rollout public.firmware_rollouts;
begin
  select * into v_rollout
    from public.firmware_rollouts r
   where r.id = p_rollout_id and r.organization_id = v_organization_id and r.integration_id = p_integration_id
     for update;
  if not found then
    raise exception 'This integration has no such rollout.' using errcode = 'PT404';
  end if;
  if v_rollout.status not in ('starting', 'running') then
    raise exception 'This rollout has ended.' using errcode = 'PT409', hint = 'wrong_status';
  end if;
  if v_rollout.begun_at is not null and not p_withdrawn then
    raise exception 'This rollout has just begun; try again in a moment.' using errcode = 'PT409', hint = 'wrong_status';
  end if;
  perform private.end_rollout(v_rollout, 'cancelled', 'Cancelled.');
end
$$;
comment on function public.cancel_rollout is
  'For admins: ends an open rollout that the platform was not told of yet, or that p_withdrawn says was taken back there.';

create function public.claim_rollout(p_rollout_id uuid) returns boolean
language sql volatile set search_path = ''
as $$
  with claimed as (
    update public.firmware_rollouts set begun_at = coalesce(begun_at, now())
     where id = p_rollout_id and status = 'starting'
    returning 1
  )
  select exists (select from claimed)
$$;
comment on function public.claim_rollout is 'Written down before the platform is told: from now on it can not just be cancelled. False where it was.';

create function public.run_rollout(p_rollout_id uuid, p_reference text, p_started_at timestamptz) returns timestamptz
language plpgsql volatile set search_path = ''
as $$
declare
  v_rollout public.firmware_rollouts;
begin
  update public.firmware_rollouts
     set status = 'running', reference = p_reference, started_at = coalesce(p_started_at, begun_at), error = null
   where id = p_rollout_id and status = 'starting'
  returning * into v_rollout;
  if found then
    perform private.log_rollout(v_rollout, 'rollout.started', 'info', 'Started.');
  end if;
  return v_rollout.started_at;
end
$$;
comment on function public.run_rollout is 'The platform has it, under p_reference; since when. Null where the rollout was cancelled meanwhile.';

create function public.fail_rollout(p_rollout_id uuid, p_error text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_rollout public.firmware_rollouts;
begin
  select * into v_rollout
    from public.firmware_rollouts
   where id = p_rollout_id and status in ('starting', 'running')
     for update;
  if found then
    perform private.end_rollout(v_rollout, 'failed', p_error);
  end if;
end
$$;
comment on function public.fail_rollout is 'It could not be started or followed, and will not be.';

create function private.conclude_rollout(p_rollout public.firmware_rollouts) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_message text := format('%s of %s devices updated, %s failed.',
    p_rollout.counts ->> 'updated', p_rollout.counts ->> 'devices', p_rollout.counts ->> 'failed');
  v_failed boolean := (p_rollout.counts ->> 'failed')::integer > 0;
begin
  update public.alerts set resolved_at = now()
   where organization_id = p_rollout.organization_id and integration_id = p_rollout.integration_id
     and kind = 'rollout.devices_failed' and resolved_at is null;
  perform private.log_rollout(p_rollout, 'rollout.done', case when v_failed then 'warning' else 'info' end, v_message);
  if v_failed then
    perform private.raise_alert(
      p_rollout.integration_id, 'rollout.devices_failed', 'warning', format('Rollout %s: %s', p_rollout.name, v_message),
      jsonb_build_object('rollout_id', p_rollout.id, 'counts', p_rollout.counts));
  end if;
end
$$;
comment on function private.conclude_rollout is
  'Says how a rollout went. One alert for all devices that failed, open until the next rollout has ended.';

create function public.settle_rollout(
  p_rollout_id uuid, p_error text default null, p_more boolean default false, p_swept boolean default false,
  p_missed_since timestamptz default null
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_rollout public.firmware_rollouts;
  v_open boolean;
begin
  update public.firmware_rollouts
     set error = left(p_error, 2000), swept_at = case when p_swept then now() else swept_at end
   where id = p_rollout_id and status in ('starting', 'running')
  returning * into v_rollout;
  if not found then
    return jsonb_build_object('status', (select status from public.firmware_rollouts where id = p_rollout_id));
  end if;
  if p_swept then
    perform private.end_updates(p_rollout_id, 'The device is not among those of the target any more.', p_missed_since);
  end if;
  if v_rollout.ends_at <= now() then
    if v_rollout.status = 'starting' then
      perform private.end_rollout(v_rollout, 'failed', coalesce(p_error, 'It could not be started in time.'));
      return jsonb_build_object('status', 'failed');
    end if;
    perform private.end_updates(p_rollout_id, 'The device was not updated within the time limit of the rollout.');
  end if;
  v_open := v_rollout.status = 'starting'
    or (v_rollout.ends_at > now() and (p_more or p_error is not null or v_rollout.swept_at is null))
    or exists (
      select from public.firmware_updates u
       where u.rollout_id = p_rollout_id and u.state in ('pending', 'downloading', 'downloaded'));
  update public.firmware_rollouts
     set counts = private.count_rollout(id),
         status = case when v_open then status else 'done' end,
         finished_at = case when not v_open then now() end
   where id = p_rollout_id
  returning * into v_rollout;
  if not v_open then
    perform private.conclude_rollout(v_rollout);
  end if;
  return jsonb_build_object('status', v_rollout.status, 'counts', v_rollout.counts);
end
$$;
comment on function public.settle_rollout is
  'Counts, and ends the rollout where nothing of it is on its way any more or its time is over. p_more: there is more to read; p_swept: all devices were looked through, and those not listed since p_missed_since are gone; p_error: why nothing is heard just now.';

revoke execute on function public.start_rollout, public.plan_rollouts, public.cancel_rollout, public.claim_rollout,
  public.run_rollout, public.fail_rollout, private.conclude_rollout, public.settle_rollout from public, anon,
  authenticated, service_role;
