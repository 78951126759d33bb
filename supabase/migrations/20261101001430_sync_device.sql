-- One device brought in step. The device owns its state, which is taken as it comes; the platform owns name and tags,
-- which are compared three ways with what was last in step, and never silently overwritten.

create function private.settle_conflict(
  p_device public.devices, p_fields text[], p_local jsonb, p_remote jsonb, p_policy text, p_says text, out say text, out is_new boolean
)
language plpgsql volatile set search_path = ''
as $$
declare
  v_known public.device_conflicts;
begin
  select c.* into v_known from public.device_conflicts c where c.device_id = p_device.id and c.applied_at is null for update;
  if cardinality(p_fields) = 0 then
    update public.device_conflicts
       set status = 'resolved', resolution = coalesce(resolution, 'agreed'), resolved_at = coalesce(resolved_at, now()),
           applied_at = now()
     where id = v_known.id;
    return;
  end if;
  -- A decision holds for the values it was made on: what would be overwritten must still be what was seen then.
  if v_known.status = 'resolved' and v_known.fields = p_fields
     and (case v_known.resolution when 'local' then v_known.remote = p_remote else v_known.local = p_local end) then
    say := v_known.resolution;
    return;
  end if;
  say := p_says;
  insert into public.device_conflicts as c
    (organization_id, integration_id, device_id, fields, local, remote, status, resolution, policy, resolved_at)
  select p_device.organization_id, p_device.integration_id, p_device.id, p_fields, p_local, p_remote,
         case when d.resolution is null then 'open' else 'resolved' end, d.resolution,
         case when d.resolution is not null then p_policy end, case when d.resolution is not null then now() end
    from (select nullif(p_says, 'manual') as resolution) d
  on conflict (device_id) where applied_at is null do update
    set fields = excluded.fields, local = excluded.local, remote = excluded.remote, status = excluded.status,
        resolution = excluded.resolution, policy = excluded.policy, resolved_at = excluded.resolved_at, resolved_by = null
    where (c.fields, c.local, c.remote, c.status) is distinct from (excluded.fields, excluded.local, excluded.remote, excluded.status)
  returning xmax = 0 into is_new;
end
$$;
comment on function private.settle_conflict is
  'Who has the say over fields that both sides changed: whoever a person decided for, else what the policy says (local, remote, manual). '
  'A conflict is recorded once; without fields the one there was is over.';

create function private.take_facts(p_device public.devices, p_remote jsonb, p_taken jsonb, p_online_minutes integer) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  v_new public.devices := private.renew_device(p_device, p_remote, p_taken, p_online_minutes);
begin
  if v_new is not distinct from p_device then
    return false;
  end if;
  update public.devices
     set name = v_new.name, metadata = v_new.metadata, status = v_new.status, last_seen_at = v_new.last_seen_at,
         firmware_version = v_new.firmware_version
   where id = p_device.id;
  return true;
end
$$;
comment on function private.take_facts is 'Takes over what the provider says of a device, and the name and tags in p_taken; whether that changed anything.';

create function private.sync_device(
  p_integration public.device_integrations, p_device_id uuid, p_remote jsonb, p_options jsonb
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_import boolean := p_options ->> 'direction' in ('import', 'both');
  v_export boolean := p_options ->> 'direction' in ('export', 'both');
  v_policy text := p_options ->> 'conflicts';
  v_device public.devices;
  v_link public.device_links;
  v_local jsonb;
  v_base jsonb;
  v_taken jsonb := '{}';
  v_push jsonb := '{}';
  v_clash text[];
  v_say text;
  v_is_new boolean;
  v_field text;
  v_state text;
  v_updated boolean := false;
begin
  select * into v_device from public.devices where id = p_device_id;
  select * into v_link from public.device_links where device_id = p_device_id;
  v_local := jsonb_build_object('name', v_device.name, 'tags', private.read_tags(v_device.metadata));
  -- What nobody here has given yet is not a value of ours: the id as a name, no tags at all.
  v_base := jsonb_strip_nulls(jsonb_build_object(
    'name', coalesce(v_link.synced_name, case when v_device.name = v_device.external_id then v_device.name end),
    'tags', coalesce(v_link.synced_tags, case when not v_device.metadata ? 'tags' then '[]'::jsonb end)));

  if (p_options ->> 'update_existing')::boolean then
    v_clash := array(
      select f from unnest(array['name', 'tags']) f
       where private.judge_field(v_local -> f, p_remote -> f, v_base -> f) = 'both');
    if v_policy = 'newest' then
      v_policy := case when (p_remote ->> 'updated_at')::timestamptz > v_device.edited_at then 'remote' else 'local' end;
    end if;
    select c.say, c.is_new into v_say, v_is_new
      from private.settle_conflict(
        v_device, v_clash, private.pick_fields(v_local, v_clash), private.pick_fields(p_remote, v_clash),
        p_options ->> 'conflicts', v_policy) c;
    foreach v_field in array array['name', 'tags'] loop
      v_state := case
        when v_field = any (v_clash) then v_say
        else private.judge_field(v_local -> v_field, p_remote -> v_field, v_base -> v_field)
      end;
      if v_state = 'remote' and v_import then
        v_taken := v_taken || private.pick_fields(p_remote, array[v_field]);
        v_base := v_base || private.pick_fields(p_remote, array[v_field]);
      elsif v_state = 'local' and v_export then
        v_push := v_push || private.pick_fields(v_local, array[v_field]);
      elsif v_state = 'same' or v_field = any (v_clash) and v_state = 'remote' then
        v_base := v_base || private.pick_fields(v_local, array[v_field]);
      elsif v_field = any (v_clash) and v_state = 'local' then
        -- This direction changes neither side; what the other has is known from now on.
        v_base := v_base || private.pick_fields(p_remote, array[v_field]);
      end if;
    end loop;
    if v_say in ('local', 'remote') and not v_push ?| v_clash then
      update public.device_conflicts set applied_at = now() where device_id = p_device_id and applied_at is null;
    end if;
    update public.device_links
       set synced_name = v_base ->> 'name', synced_tags = v_base -> 'tags'
     where device_id = p_device_id and (synced_name, synced_tags) is distinct from (v_base ->> 'name', v_base -> 'tags');
    if v_import then
      v_updated := private.take_facts(v_device, p_remote, v_taken, (p_options ->> 'online_minutes')::integer);
    end if;
  end if;

  return jsonb_strip_nulls(jsonb_build_object(
    'updated', nullif(v_updated, false), 'taken', nullif(v_taken, '{}'), 'conflict', nullif(v_is_new, false),
    'push', case when v_push <> '{}' then jsonb_build_object(
      'device_id', p_device_id, 'remote_id', p_remote -> 'id', 'values', v_push,
      'add_tags', (v_push -> 'tags') - private.read_strings(p_remote -> 'tags'),
      'remove_tags', case when v_push ? 'tags' then (p_remote -> 'tags') - private.read_strings(v_push -> 'tags') end) end));
end
$$;
comment on function private.sync_device is
  'Brings one linked device in step: takes the provider''s facts, and of name and tags what only the other side changed. '
  '{updated, taken, conflict (a new one), push (what the provider has to be told)}, each where there is something.';

revoke execute on function private.settle_conflict, private.take_facts, private.sync_device from public, anon,
  authenticated, service_role;
