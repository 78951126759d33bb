-- The life of a provisioning: begun by an admin, completed or undone by that call or by a job.

create function private.choose_device(p_organization_id uuid, p_integration_id uuid, p_begun jsonb) returns uuid
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid;
begin
  if p_begun ->> 'device_id' is not null then
    select d.id into v_id
      from public.devices d
     where d.id = (p_begun ->> 'device_id')::uuid and d.organization_id = p_organization_id
       and (d.integration_id = p_integration_id or d.integration_id is null)
       for update;
    if not found then
      raise exception 'There is no such device on this integration.' using errcode = 'PT404';
    end if;
    if exists (select from public.device_links l where l.device_id = v_id and l.organization_id = p_organization_id) then
      raise exception 'This device is known to the provider already, or is being created there.'
        using errcode = 'PT409', hint = 'wrong_status';
    end if;
    update public.devices set integration_id = p_integration_id where id = v_id and integration_id is null;
    return v_id;
  end if;
  if exists (
       select from public.devices d
        where d.integration_id = p_integration_id and d.metadata ? 'hardware_ids'
          and private.hardware_keys(d.organization_id, private.read_strings(d.metadata -> 'hardware_ids'))
              && private.hardware_keys(p_organization_id, private.read_strings(p_begun #> '{request,hardware_ids}'))) then
    raise exception 'A device with this hardware id is here already; name it by device_id.' using errcode = 'PT409', hint = 'wrong_status';
  end if;
  insert into public.devices (organization_id, integration_id, external_id, name, metadata)
  values (
    p_organization_id, p_integration_id, gen_random_uuid(), p_begun #>> '{request,name}', p_begun -> 'metadata')
  returning id into v_id;
  return v_id;
end
$$;
comment on function private.choose_device is 'The device a provisioning is for: the one it names, or a new one.';

create function public.begin_provisioning(p_integration_id uuid, p_begun jsonb) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_id uuid := p_begun ->> 'id';
  v_device_id uuid;
begin
  perform private.redeem_id(v_id, v_organization_id);
  perform private.hold_devices(v_organization_id);
  v_device_id := private.choose_device(v_organization_id, p_integration_id, p_begun);
  insert into public.device_links (device_id, organization_id, integration_id, status, wanted)
  values (v_device_id, v_organization_id, p_integration_id, 'creating', p_begun -> 'request');
  insert into public.device_provisionings (
    id, organization_id, integration_id, device_id, request, credentials, identity, makes_device, due_at)
  values (
    v_id, v_organization_id, p_integration_id, v_device_id, p_begun -> 'request', p_begun ->> 'credentials',
    p_begun ->> 'identity', p_begun ->> 'device_id' is null, now() + make_interval(secs => least((p_begun ->> 'lease_seconds')::integer, 3600)));
  insert into private.provisioning_secrets (provisioning_id, organization_id, sealed)
  select v_id, v_organization_id, p_begun ->> 'sealed' where p_begun ->> 'sealed' is not null;
  return private.show_provisioning(v_id);
end
$$;
comment on function public.begin_provisioning is
  'For an admin: writes down what is about to be created at the provider, {id (of issue_id), request {name, hardware_ids, tags, cohort}, metadata, '
  'credentials, identity, sealed, lease_seconds, device_id?}. PT409 where the device is known there already.';

create function private.finish_provisioning(p_id uuid, p_remote jsonb, p_error text) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_options constant jsonb :=
    '{"direction": "import", "conflicts": "manual", "update_existing": true, "online_minutes": 60}';
  v_row public.device_provisionings;
  v_integration public.device_integrations;
  v_error text := p_error;
begin
  select * into v_row from public.device_provisionings where id = p_id for update;
  if v_row.status is distinct from 'pending' then
    return private.show_provisioning(p_id);
  end if;
  perform set_config('app.syncing', 'on', true);
  select * into v_integration from public.device_integrations
   where id = v_row.integration_id and organization_id = v_row.organization_id;
  if p_remote is not null and not private.link_device(v_integration, v_row.device_id, p_remote ->> 'id') then
    v_error := 'Another device here goes by its id at the provider.';
  end if;
  if v_error is null then
    perform private.sync_device(v_integration, v_row.device_id, p_remote, v_options);
    update public.device_provisionings set status = 'done', error = null, finished_at = now() where id = p_id;
  else
    update public.device_provisionings
       set status = 'failed', error = left(v_error, 2000), finished_at = now(),
           device_id = case when makes_device then null else device_id end
     where id = p_id;
    delete from private.provisioning_secrets where provisioning_id = p_id;
    delete from public.device_links
     where device_id = v_row.device_id and organization_id = v_row.organization_id and status = 'creating';
    delete from public.devices
     where id = v_row.device_id and organization_id = v_row.organization_id and v_row.makes_device;
  end if;
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  values (
    v_row.organization_id, v_row.integration_id, case when v_error is null then 'device.provisioned' else 'device.refused' end,
    case when v_error is null then 'info' else 'error' end,
    coalesce(left(v_error, 2000), 'A device was created at the provider.'),
    jsonb_build_object('provisioning_id', p_id, 'device_id', v_row.device_id));
  return private.show_provisioning(p_id);
end
$$;
comment on function private.finish_provisioning is
  'Completes a pending provisioning with the device as the provider has it, or undoes it with the reason; one that is finished stays as it is.';

create function public.finish_provisioning(
  p_integration_id uuid, p_provisioning_id uuid, p_remote jsonb default null, p_error text default null
) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
begin
  perform private.require_portable('p_remote', p_remote, 65536);
  if not exists (
       select from public.device_provisionings p
        where p.id = p_provisioning_id and p.organization_id = v_organization_id and p.integration_id = p_integration_id) then
    raise exception 'This integration has no such provisioning.' using errcode = 'PT404';
  end if;
  return private.finish_provisioning(p_provisioning_id, p_remote, p_error);
end
$$;
comment on function public.finish_provisioning is 'For the admin who began it: p_remote completes it, p_error undoes it.';

create function public.lease_provisionings(p_job_id uuid, p_lease_token uuid, p_limit integer, p_lease_seconds integer)
returns table (
  id uuid, organization_id uuid, device_id uuid, request jsonb, credentials text, identity text, sealed text
)
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  return query
    update public.device_provisionings p
       set due_at = now() + make_interval(secs => p_lease_seconds)
     where p.id = any (array(
             select d.id from public.device_provisionings d
              where d.organization_id = v_integration.organization_id and d.integration_id = v_integration.id
                and d.status = 'pending' and d.due_at <= now()
              order by d.due_at
              limit p_limit
              for update skip locked))
    returning p.id, p.organization_id, p.device_id, p.request, p.credentials, p.identity,
      (select s.sealed from private.provisioning_secrets s where s.provisioning_id = p.id);
end
$$;
comment on function public.lease_provisionings is 'Takes pending provisionings of the job''s integration that nobody is working on.';

create function public.end_provisioning(
  p_job_id uuid, p_lease_token uuid, p_provisioning_id uuid, p_remote jsonb default null, p_error text default null,
  p_final boolean default true
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  if not exists (
       select from public.device_provisionings p
        where p.id = p_provisioning_id and p.organization_id = v_integration.organization_id
          and p.integration_id = v_integration.id) then
    return;
  end if;
  if p_final then
    perform private.finish_provisioning(p_provisioning_id, p_remote, p_error);
  else
    update public.device_provisionings set error = left(p_error, 2000) where id = p_provisioning_id and status = 'pending';
  end if;
end
$$;
comment on function public.end_provisioning is
  'As finish_provisioning, for the job that does what was left; without p_final it stays to be done, and error says why.';

create function public.plan_provisionings(p_limit integer default 1000) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_planned integer;
begin
  insert into public.integration_jobs (organization_id, integration_id, kind)
  -- From each integration to the next, one step along the index whatever waits behind it.
  with recursive queues as (
    (select p.integration_id as id from public.device_provisionings p where p.status = 'pending' order by p.integration_id limit 1)
    union all
    select (select p.integration_id from public.device_provisionings p
             where p.status = 'pending' and p.integration_id > q.id order by p.integration_id limit 1)
      from queues q
     where q.id is not null
  )
  select i.organization_id, i.id, 'provision'
    from queues q
    join lateral (select * from public.device_integrations n where n.id = q.id offset 0) i on i.status <> 'inactive'
   where exists (
       select from (
         select p.organization_id from public.device_provisionings p
          where p.integration_id = q.id and p.status = 'pending' and p.due_at <= now() order by p.due_at limit 1) p
        where p.organization_id = i.organization_id)
     and not exists (
       select from public.integration_jobs j
        where j.integration_id = i.id and j.organization_id = i.organization_id and j.kind = 'provision' and j.status in ('pending', 'running'))
   limit p_limit
  on conflict (integration_id, organization_id, kind) where status in ('pending', 'running') do nothing;
  get diagnostics v_planned = row_count;
  return v_planned;
end
$$;
comment on function public.plan_provisionings is 'Begins a job for every integration with provisionings that were left half done.';

revoke execute on function private.choose_device, public.begin_provisioning, private.finish_provisioning,
  public.finish_provisioning, public.lease_provisionings, public.end_provisioning, public.plan_provisionings from
  public, anon, authenticated, service_role;
