-- Devices that are here and not at the provider, and what the provider has to be told.

create function public.confirm_exports(p_job_id uuid, p_lease_token uuid, p_exports jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  update public.device_links l
     set synced_name = coalesce(e."values" ->> 'name', l.synced_name), synced_tags = coalesce(e."values" -> 'tags', l.synced_tags)
    from jsonb_to_recordset(p_exports) as e(device_id uuid, "values" jsonb)
   where l.device_id = e.device_id and l.organization_id = v_integration.organization_id;
  update public.device_conflicts c
     set applied_at = now()
    from jsonb_to_recordset(p_exports) as e(device_id uuid)
   where c.device_id = e.device_id and c.organization_id = v_integration.organization_id and c.status = 'resolved'
     -- Said so that it is looked up by its device: an index of what is unsettled would be read as a whole, once planned while nothing was.
     and (c.applied_at is null) is true;
end
$$;
comment on function public.confirm_exports is 'The provider has taken these names and tags, [{device_id, values: {name?, tags?}}].';

create function public.list_unlinked(
  p_job_id uuid, p_lease_token uuid, p_after uuid, p_limit integer, p_claim boolean
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_devices jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(u) order by u.device_id), '[]') into v_devices
    from (
      select d.id as device_id, d.external_id, d.name, private.read_tags(d.metadata) as tags,
             to_jsonb(private.read_strings(d.metadata -> 'hardware_ids')) as hardware_ids
        from public.devices d
       where d.organization_id = v_integration.organization_id and d.integration_id = v_integration.id and d.id > p_after
         and not exists (select from public.device_links l where l.device_id = d.id and l.status <> 'creating')
         and not exists (select from public.device_provisionings p where p.device_id = d.id and p.status = 'pending')
       order by d.id
       limit p_limit
    ) u;
  if p_claim then
    insert into public.device_links (device_id, organization_id, integration_id, status, wanted)
    select u.device_id, v_integration.organization_id, v_integration.id, 'creating', u.wanted
      from (
        select (d.value ->> 'device_id')::uuid as device_id,
               jsonb_build_object(
                 'name', d.value -> 'name', 'hardware_ids', d.value -> 'hardware_ids', 'tags', d.value -> 'tags') as wanted
          from jsonb_array_elements(v_devices) d) u
    on conflict (device_id) do update set wanted = excluded.wanted where device_links.wanted <> excluded.wanted;
  end if;
  return v_devices;
end
$$;
comment on function public.list_unlinked is
  'Devices of the job''s integration that the provider does not have, after an id. With p_claim it is written down that they are being '
  'created there, so that what a crash leaves half done is known again.';

create function private.link_found(p_job_id uuid, p_integration public.device_integrations, p_links jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_item record;
  v_linked boolean;
  v_done jsonb := '[]';
begin
  for v_item in
    select l.device_id, l.remote
      from jsonb_to_recordset(p_links) as l(device_id uuid, remote jsonb)
      join public.devices d on d.id = l.device_id and d.organization_id = p_integration.organization_id
  loop
    v_linked := false;
    if coalesce(v_item.remote, 'null') <> 'null'
       and coalesce(private.find_claim(p_integration, v_item.remote), v_item.device_id) = v_item.device_id then
      v_linked := private.link_device(p_integration, v_item.device_id, v_item.remote ->> 'id');
    end if;
    v_done := v_done || jsonb_build_array(jsonb_build_object('device_id', v_item.device_id, 'linked', v_linked)
      || case when v_linked then private.sync_device(p_integration, v_item.device_id, v_item.remote, p_options) else '{}' end);
    if v_linked then
      insert into private.job_sightings (job_id, remote_id) values (p_job_id, v_item.remote ->> 'id') on conflict do nothing;
    else
      delete from public.device_links where device_id = v_item.device_id and status = 'creating';
    end if;
  end loop;
  return v_done;
end
$$;
comment on function private.link_found is 'What link_devices does, within the transaction that a dry run takes back.';

create function public.link_devices(p_job_id uuid, p_lease_token uuid, p_links jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_done jsonb;
begin
  begin
    v_done := private.link_found(p_job_id, v_integration, p_links, p_options);
    perform private.end_dry_run(p_options);
  exception when sqlstate 'DRYRN' then
    null;
  end;
  return v_done;
end
$$;
comment on function public.link_devices is
  'Links devices to those that were created or found at the provider, [{device_id, remote}], and brings them in step. Where remote is '
  'null, or is another device''s already, the claim is given up. [{device_id, linked}] with what sync_device says beside it.';

revoke execute on function public.confirm_exports, public.list_unlinked, private.link_found, public.link_devices from
  public, anon, authenticated, service_role;
