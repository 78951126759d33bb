-- Maintenance of what is small: keys, ids, invitations, buckets, records of work. private.retention says how long what is kept.
-- Rows that somebody holds are passed over until the next round; whatever else would have to be waited for, is not for long.

create function public.prune_idempotency_keys(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_before timestamptz := private.kept_from('idempotency_keys');
  v_pruned integer;
begin
  delete from private.idempotency_keys
   where ctid = any (array(
     select k.ctid from private.idempotency_keys k where k.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('idempotency_keys', v_pruned < p_limit);
  return jsonb_build_object('idempotency_keys', v_pruned);
end
$$;
comment on function public.prune_idempotency_keys is 'Maintenance: forgets idempotency keys, in batches.';

create function public.prune_issued_ids(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_before timestamptz := private.kept_from('issued_ids');
  v_pruned integer;
begin
  delete from private.issued_ids
   where ctid = any (array(
     select i.ctid from private.issued_ids i where i.taken_at is null and i.issued_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('issued_ids', v_pruned < p_limit);
  return jsonb_build_object('issued_ids', v_pruned);
end
$$;
comment on function public.prune_issued_ids is 'Maintenance: forgets ids that were issued and not used, in batches; used ones never.';

create function public.prune_invitations(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- as below
as $$
declare
  v_before timestamptz := private.kept_from('invitations');
  v_pruned integer := 0;
begin
  -- A platform may keep its own members.
  if private.has_people() then
    delete from public.organization_invitations
     where id = any (array(
       select i.id from public.organization_invitations i where i.expires_at < v_before limit p_limit for update skip locked));
    get diagnostics v_pruned = row_count;
  end if;
  perform private.note_pruned('invitations', v_pruned < p_limit);
  return jsonb_build_object('invitations', v_pruned);
end
$$;
comment on function public.prune_invitations is 'Maintenance: forgets invitations that ended unaccepted, in batches.';

create function public.prune_rate_limits(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_before timestamptz := private.kept_from('rate_limits');
  v_pruned integer;
begin
  delete from private.rate_limits
   where ctid = any (array(
     select r.ctid from private.rate_limits r where r.full_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('rate_limits', v_pruned < p_limit);
  return jsonb_build_object('rate_limits', v_pruned);
end
$$;
comment on function public.prune_rate_limits is 'Maintenance: forgets buckets that have long been full; an absent bucket is a full one.';

create function public.prune_audit_log(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- as below
as $$
declare
  v_before timestamptz := private.kept_from('audit_log');
  v_pruned integer;
begin
  delete from public.audit_log
   where ctid = any (array(
     select a.ctid from public.audit_log a where a.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('audit_log', v_pruned < p_limit);
  return jsonb_build_object('audit_rows', v_pruned);
end
$$;
comment on function public.prune_audit_log is 'Maintenance: deletes audit rows that are past the retention, in batches.';

create function public.prune_jobs(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- its plans are made while there are few jobs
as $$
declare
  v_ended_from timestamptz := private.kept_from('jobs');
  v_planned_from timestamptz := private.kept_from('planned_jobs');
  v_pruned integer;
begin
  delete from public.integration_jobs
   where ctid = any (array(
     select j.ctid from public.integration_jobs j
      -- By an index of its own each: those that are kept for longer are not read.
      where (
          j.finished_at < v_planned_from and j.status = 'done' and j.created_by is null
          or j.finished_at < v_ended_from and (j.status <> 'done' or j.created_by is not null))
        -- The last one of its kind says when the next is due. Asked of each: joined, all jobs might be read.
        and (
          select true from public.integration_jobs n
           where n.integration_id = j.integration_id and n.organization_id = j.organization_id
             and n.kind = j.kind and n.created_at > j.created_at
           order by n.created_at desc
           limit 1)
      limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned(w, v_pruned < p_limit) from unnest(array['jobs', 'planned_jobs']) w;
  return jsonb_build_object('jobs', v_pruned);
end
$$;
comment on function public.prune_jobs is
  'Maintenance: forgets finished jobs, sooner those that a plan began and that went well, in batches.';

create function public.prune_conflicts(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_before timestamptz := private.kept_from('conflicts');
  v_pruned integer;
begin
  delete from public.device_conflicts
   where ctid = any (array(
     select c.ctid from public.device_conflicts c where c.applied_at < v_before limit p_limit for update skip locked));
  get diagnostics v_pruned = row_count;
  perform private.note_pruned('conflicts', v_pruned < p_limit);
  return jsonb_build_object('conflicts', v_pruned);
end
$$;
comment on function public.prune_conflicts is 'Maintenance: forgets conflicts that were settled long ago, in batches.';

create function public.prune_firmware(p_retention_days integer default null, p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- as above
as $$
declare
  v_before timestamptz := private.kept_from('firmware', p_retention_days);
  v_updates integer;
  v_rollouts integer;
begin
  delete from public.firmware_updates
   where ctid = any (array(
     select u.ctid from public.firmware_updates u
      where u.created_at < v_before and u.at < v_before
        and not exists (
          select from public.firmware_rollouts r where r.id = u.rollout_id and r.status in ('starting', 'running'))
      limit p_limit for update skip locked));
  get diagnostics v_updates = row_count;
  delete from public.firmware_rollouts
   where ctid = any (array(
     select r.ctid from public.firmware_rollouts r where r.finished_at < v_before limit p_limit for update skip locked));
  get diagnostics v_rollouts = row_count;
  perform private.note_pruned('firmware', greatest(v_updates, v_rollouts) < p_limit);
  return jsonb_build_object('firmware_updates', v_updates, 'firmware_rollouts', v_rollouts);
end
$$;
comment on function public.prune_firmware is
  'Maintenance: deletes updates that nothing was heard of within the retention, and rollouts that ended before it, in batches; never those of an open rollout.';

revoke execute on function public.prune_idempotency_keys, public.prune_issued_ids, public.prune_invitations, public.prune_rate_limits, public.prune_audit_log,
  public.prune_jobs, public.prune_conflicts, public.prune_firmware
  from public, anon, authenticated, service_role;
