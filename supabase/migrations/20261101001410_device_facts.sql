-- What a provider says of a device, and which side has changed what: questions that change nothing.

create function private.read_tags(p_metadata jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_agg(t.tag order by t.tag collate "C"), '[]')
    from (
      select distinct e.value #>> '{}' as tag
        from jsonb_array_elements(case when jsonb_typeof(p_metadata -> 'tags') = 'array' then p_metadata -> 'tags' end) e
       where jsonb_typeof(e.value) = 'string') t
$$;
comment on function private.read_tags is 'The tags in a device''s metadata, sorted; none where there is something else.';

create function private.judge_field(p_local jsonb, p_remote jsonb, p_base jsonb) returns text
language sql immutable set search_path = ''
as $$
  select case when p_local = p_remote then 'same' when p_local = p_base then 'remote' when p_remote = p_base then 'local' else 'both' end
$$;
comment on function private.judge_field is 'Which side has changed a value since both had p_base; both where that is not known.';

create function private.judge_status(p_seen timestamptz, p_online timestamptz, p_offline timestamptz, p_minutes integer) returns text
language sql stable set search_path = ''
as $$
  select case
    when p_offline >= coalesce(p_seen, p_offline) then 'offline'
    when p_online > coalesce(p_offline, '-infinity') then 'online'
    when p_seen > now() - make_interval(mins => p_minutes) then 'online'
    when p_seen is not null then 'offline'
    else 'unknown'
  end
$$;
comment on function private.judge_status is
  'By what is known of its coming and going, else online for p_minutes after it was last heard.';

create function private.last_heard(p_remote jsonb, p_known timestamptz) returns timestamptz
language sql stable set search_path = ''
as $$
  select min(least(t.heard, now()))
    from (
      select greatest(p_known, (p_remote ->> 'last_report')::timestamptz, (p_remote ->> 'last_online')::timestamptz) as heard) t
   where t.heard is not null
$$;
comment on function private.last_heard is 'When it last said something, as far as the provider or we know; never in the future.';

create function private.list_facts(p_remote jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
           'cohort', p_remote -> 'cohort', 'enabled', p_remote -> 'enabled', 'firmware', p_remote -> 'firmware',
           'settings', p_remote -> 'settings', 'last_online', p_remote -> 'last_online',
           'last_offline', p_remote -> 'last_offline', 'attributes', nullif(p_remote -> 'attributes', '{}')))
$$;
comment on function private.list_facts is 'What the provider says of a device, as it is kept under metadata.provider.';

create function private.pick_fields(p_values jsonb, p_fields text[]) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(f, p_values -> f), '{}') from unnest(p_fields) f
$$;
comment on function private.pick_fields is 'The fields of an object that are named; null for what it does not have.';

create function private.renew_device(p_device public.devices, p_remote jsonb, p_taken jsonb, p_online_minutes integer)
returns public.devices
language plpgsql stable set search_path = ''
as $$
declare
  v_new public.devices := p_device;
  v_known text[] := private.read_strings(p_device.metadata -> 'hardware_ids');
begin
  v_new.name := coalesce(p_taken ->> 'name', p_device.name);
  v_new.last_seen_at := private.last_heard(p_remote, p_device.last_seen_at);
  v_new.status := private.judge_status(
    v_new.last_seen_at, (p_remote ->> 'last_online')::timestamptz,
    greatest((p_remote ->> 'last_offline')::timestamptz, private.read_gone(p_device.metadata)), p_online_minutes);
  v_new.firmware_version := coalesce(p_remote ->> 'firmware_version', p_device.firmware_version);
  v_new.metadata := p_device.metadata || jsonb_build_object('provider', private.list_facts(p_remote));
  if jsonb_array_length(p_remote -> 'hardware_ids') > 0 then
    v_new.metadata := v_new.metadata || jsonb_build_object(
      'hardware_ids', to_jsonb(v_known) || ((p_remote -> 'hardware_ids') - v_known));
  end if;
  if p_taken ? 'tags' then
    v_new.metadata := v_new.metadata || jsonb_build_object('tags', p_taken -> 'tags');
  end if;
  return v_new;
end
$$;
comment on function private.renew_device is 'The device with what the provider says of it, and with the name and tags in p_taken. Who was told to have gone stays so until it is heard again.';

create function private.is_in_step(p_device public.devices, p_link public.device_links, p_remote jsonb, p_options jsonb) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  if p_link.status is distinct from 'linked' or p_link.remote_id <> p_remote ->> 'id' then
    return false;
  end if;
  if not (p_options ->> 'update_existing')::boolean then
    return true;
  end if;
  return p_device.name = p_remote ->> 'name' and p_link.synced_name = p_device.name
    and p_link.synced_tags = p_remote -> 'tags' and private.read_tags(p_device.metadata) = p_remote -> 'tags'
    and (p_options ->> 'direction' = 'export'
         or private.renew_device(p_device, p_remote, '{}', (p_options ->> 'online_minutes')::integer) is not distinct from p_device)
    and not exists (
      select from public.device_conflicts c where c.device_id = p_device.id and c.applied_at is null);
end
$$;
comment on function private.is_in_step is 'Whether there is nothing to do about a device, which is so for most of them most of the time.';

revoke execute on function private.read_tags, private.judge_field, private.judge_status, private.last_heard,
  private.list_facts, private.pick_fields, private.renew_device, private.is_in_step from public, anon, authenticated,
  service_role;
