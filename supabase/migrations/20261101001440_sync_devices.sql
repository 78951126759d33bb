-- Pages of a provider's devices brought in step.

create function private.create_devices(p_integration public.device_integrations, p_devices jsonb, p_options jsonb) returns void
language sql volatile set search_path = ''
as $$
  with remote as (
    select r.value as device, r.value ->> 'id' as id, (r.value ->> 'last_online')::timestamptz as online,
           (r.value ->> 'last_offline')::timestamptz as offline,
           private.last_heard(r.value, null) as seen
      from jsonb_array_elements(p_devices) r
  ),
  created as (
    insert into public.devices (
      organization_id, integration_id, external_id, name, status, last_seen_at, firmware_version, metadata)
    select p_integration.organization_id, p_integration.id, r.id, r.device ->> 'name',
           private.judge_status(r.seen, r.online, r.offline, (p_options ->> 'online_minutes')::integer), r.seen,
           r.device ->> 'firmware_version',
           jsonb_build_object(
             'hardware_ids', r.device -> 'hardware_ids', 'tags', r.device -> 'tags', 'provider', private.list_facts(r.device))
      from remote r
     order by r.id
    on conflict (integration_id, external_id, organization_id) do nothing -- it has just said something, and is met by the next run
    returning id, external_id
  )
  insert into public.device_links (device_id, organization_id, integration_id, remote_id, status, synced_name, synced_tags)
  select c.id, p_integration.organization_id, p_integration.id, r.id, 'linked', r.device ->> 'name', r.device -> 'tags'
    from created c join remote r on r.id = c.external_id
$$;
comment on function private.create_devices is 'Makes the devices that the provider has and nobody here, linked with name and tags in step.';

create function private.sync_page(p_integration public.device_integrations, p_devices jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_room integer := p_options ->> 'room';
  v_creates boolean := p_options ->> 'direction' <> 'export' and (p_options ->> 'create_missing')::boolean;
  v_most bigint := private.read_quota(p_integration.organization_id, 'devices');
  v_row record;
  v_device public.devices;
  v_action text;
  v_result jsonb;
  v_new jsonb := '[]';
  v_done jsonb[] := '{}';
begin
  if v_creates then
    perform private.hold_devices(p_integration.organization_id);
    v_room := greatest(0, least(v_room, v_most - private.count_devices_of(p_integration.organization_id)));
  end if;
  -- In the order in which ingest_messages locks devices, so that neither waits for the other for ever.
  for v_row in
    select r.value as remote, d.device, l.link
      from jsonb_array_elements(p_devices) r
      left join lateral (
        select e as device from public.devices e
         where e.integration_id = p_integration.id and e.external_id = r.value ->> 'id'
         limit 1) d on true
      left join lateral (select k as link from public.device_links k where k.device_id = (d.device).id limit 1) l on true
     order by r.value ->> 'id'
  loop
    v_device := v_row.device;
    v_action := 'unchanged';
    v_result := '{}';
    if v_device.id is null or not private.is_in_step(v_device, v_row.link, v_row.remote, p_options) then
      v_device := private.match_device(p_integration, v_row.remote);
      if v_device.id is null then
        v_action := case when not v_creates then 'skipped' when v_room <= 0 then 'over_limit' else 'created' end;
      elsif not exists (
              select from public.device_links l
               where l.device_id = v_device.id and l.status = 'linked' and l.remote_id = v_row.remote ->> 'id') then
        v_action := case when private.link_device(p_integration, v_device.id, v_row.remote ->> 'id') then 'linked' else 'refused' end;
      end if;
      if v_action = 'created' then
        v_room := v_room - 1;
        v_new := v_new || v_row.remote;
      elsif v_action = 'refused' then
        -- Another device has its id; what this one was to become is over.
        delete from public.device_links where device_id = v_device.id and status = 'creating';
      elsif v_device.id is not null then
        v_result := private.sync_device(p_integration, v_device.id, v_row.remote, p_options);
        v_action := case when v_action = 'unchanged' and v_result ? 'updated' then 'updated' else v_action end;
      end if;
    end if;
    v_done := v_done || jsonb_strip_nulls(jsonb_build_object(
      'action', v_action, 'device_id', v_device.id, 'remote_id', v_row.remote -> 'id', 'name', v_row.remote -> 'name') || v_result);
  end loop;
  perform private.create_devices(p_integration, v_new, p_options);
  perform private.require_quota(p_integration.organization_id, 'metadata_bytes');
  return to_jsonb(v_done);
end
$$;
comment on function private.sync_page is
  'What came of each device, [{action: created | linked | updated | unchanged | skipped | over_limit | refused, device_id, remote_id, '
  'name}] with what sync_device says beside it.';

create function private.end_dry_run(p_options jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  if (p_options ->> 'dry_run')::boolean then
    raise exception 'A dry run takes everything back.' using errcode = 'DRYRN';
  end if;
end
$$;
comment on function private.end_dry_run is 'Raises DRYRN in a dry run: whoever catches it has done the same as without, and nothing is left of it.';

create function public.sync_devices(p_job_id uuid, p_lease_token uuid, p_devices jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_done jsonb;
begin
  insert into private.job_sightings (job_id, remote_id)
  select p_job_id, d.value ->> 'id' from jsonb_array_elements(p_devices) d
  on conflict do nothing;
  begin
    v_done := private.sync_page(v_integration, p_devices, p_options);
    perform private.end_dry_run(p_options);
  exception when sqlstate 'DRYRN' then
    null;
  end;
  return v_done;
end
$$;
comment on function public.sync_devices is
  'Brings a page of a provider''s devices in step, in one transaction: {direction, conflicts, create_missing, update_existing, room '
  '(how many may still be created), online_minutes, dry_run}. A dry run does the same and takes it back. PT409 when the '
  'job''s lease was lost.';

create function public.list_unsighted(p_job_id uuid, p_lease_token uuid, p_after uuid, p_limit integer) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(u) order by u.device_id), '[]')
      from (
        select l.device_id, l.remote_id, d.name
          from public.device_links l join public.devices d on d.organization_id = l.organization_id and d.id = l.device_id
         where l.organization_id = v_integration.organization_id and l.integration_id = v_integration.id and l.status = 'linked' and l.device_id > p_after
           and not exists (select from private.job_sightings s where s.job_id = p_job_id and s.remote_id = l.remote_id)
         order by l.device_id
         limit p_limit
      ) u);
end
$$;
comment on function public.list_unsighted is 'Linked devices that the job''s listing of the provider did not show, after an id.';

create function public.mark_devices(p_job_id uuid, p_lease_token uuid, p_devices jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  update public.device_links l
     set status = m.status
    from jsonb_to_recordset(p_devices) as m(device_id uuid, status text)
   where l.device_id = m.device_id and l.organization_id = v_integration.organization_id
     and l.integration_id = v_integration.id and m.status in ('missing', 'out_of_scope');
  update public.devices d
     set status = 'unknown',
         metadata = jsonb_set(
           d.metadata, '{provider}', coalesce(d.metadata -> 'provider', '{}') || jsonb_build_object('missing_since', now()))
    from jsonb_to_recordset(p_devices) as m(device_id uuid, status text)
   where d.id = m.device_id and d.organization_id = v_integration.organization_id
     and d.integration_id = v_integration.id and m.status = 'missing';
end
$$;
comment on function public.mark_devices is
  'Devices that the provider does not have any more (missing), or that the sync does not look at any more (out_of_scope), [{device_id, '
  'status}]. They stay, with metadata.provider.missing_since.';

revoke execute on function private.create_devices, private.sync_page, private.end_dry_run, public.sync_devices,
  public.list_unsighted, public.mark_devices from public, anon, authenticated, service_role;
