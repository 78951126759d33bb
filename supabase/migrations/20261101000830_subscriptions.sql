-- Which events of which devices a subscriber wants.

create function private.wants_event(events jsonb, kind text) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select events ?| array['*', kind, 'device.' || kind, 'device.*']
$$;
comment on function private.wants_event is 'Whether a subscriber''s settings.events asks for messages of this kind, whose type is device.<kind>.';

create function private.wants_device(device_filter jsonb, id uuid, external_id text, device_type text) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select jsonb_typeof(device_filter) = 'object'
     and (not device_filter ? 'ids' or (device_filter -> 'ids') ? id::text)
     and (not device_filter ? 'device_types' or coalesce((device_filter -> 'device_types') ? device_type, false))
     and (not device_filter ? 'external_ids' or exists (
           select from jsonb_array_elements_text(
                    case when jsonb_typeof(device_filter -> 'external_ids') = 'array' then device_filter -> 'external_ids' end) p
            where external_id like replace(regexp_replace(p, '([\\%_])', '\\\1', 'g'), '*', '%')))
$$;
comment on function private.wants_device is
  'Whether settings.device_filter matches the device: every list that is given has to, external_ids with * for anything. What is malformed matches nothing.';

revoke execute on function private.wants_event, private.wants_device from public, anon, authenticated, service_role;
