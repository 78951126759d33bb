-- When a sync is due, and what people decide in a conflict.

create function private.sync_interval(p_settings jsonb) returns interval
language sql immutable set search_path = ''
as $$
  -- Settings may have been written past the API.
  select make_interval(secs => case jsonb_typeof(p_settings -> 'sync_interval_seconds')
    when 'number' then least(greatest((p_settings ->> 'sync_interval_seconds')::numeric, 60), 604800)
    else 900 end::double precision)
$$;
comment on function private.sync_interval is 'How long after a sync the next is due.';

create index device_integrations_synced on public.device_integrations (id)
  where status <> 'inactive' and settings ? 'sync_direction';

create function public.plan_syncs(p_limit integer default 1000) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_planned integer;
begin
  insert into public.integration_jobs (organization_id, integration_id, kind)
  select i.organization_id, i.id, 'sync'
    from public.device_integrations i
   where i.status <> 'inactive' and i.settings ? 'sync_direction'
     and i.settings ->> 'sync_direction' in ('import', 'export', 'both')
     and not exists (
       select from public.integration_jobs j
        where j.integration_id = i.id and j.organization_id = i.organization_id and j.kind = 'sync'
          and (j.status in ('pending', 'running')
               or (j.request ->> 'dry_run' is distinct from 'true'
                   and j.created_at > now() - private.sync_interval(i.settings))))
   limit p_limit
  on conflict (integration_id, organization_id, kind) where status in ('pending', 'running') do nothing;
  get diagnostics v_planned = row_count;
  return v_planned;
end
$$;
comment on function public.plan_syncs is
  'Begins a sync of every active integration whose settings ask for it by sync_direction and sync_interval_seconds, when it is time.';

create function public.resolve_conflict(p_integration_id uuid, p_conflict_id uuid, p_resolution text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_status text;
begin
  if p_resolution not in ('local', 'remote') then
    raise exception 'p_resolution is local or remote.' using errcode = '22023';
  end if;
  select c.status into v_status
    from public.device_conflicts c
   where c.id = p_conflict_id and c.organization_id = v_organization_id and c.integration_id = p_integration_id
     for update;
  if not found then
    raise exception 'This integration has no such conflict.' using errcode = 'PT404';
  end if;
  if v_status = 'resolved' then
    raise exception 'This conflict is resolved already.' using errcode = 'PT409', hint = 'wrong_status';
  end if;
  update public.device_conflicts
     set status = 'resolved', resolution = p_resolution, resolved_at = now(), resolved_by = auth.uid()
   where id = p_conflict_id;
  perform private.log_queue_change(
    p_integration_id, 'sync.resolved', 'A conflict was resolved.',
    jsonb_build_object('conflict_id', p_conflict_id, 'resolution', p_resolution));
end
$$;
comment on function public.resolve_conflict is
  'Decides an open conflict for one side; the next sync carries it out, unless the side that would be overwritten has changed again. '
  'PT409 where it is resolved.';

revoke execute on function private.sync_interval, public.plan_syncs, public.resolve_conflict from public, anon,
  authenticated, service_role;
