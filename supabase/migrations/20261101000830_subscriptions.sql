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
            where external_id like replace(replace(replace(replace(p, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')))
$$;
comment on function private.wants_device is
  'Whether settings.device_filter matches the device: every list that is given has to, external_ids with * for anything. What is malformed matches nothing.';

create function private.count_patterns(device_filter jsonb) returns integer
language sql immutable parallel safe set search_path = ''
as $$
  select case when jsonb_typeof(device_filter -> 'external_ids') = 'array' then jsonb_array_length(device_filter -> 'external_ids') else 0 end
$$;
comment on function private.count_patterns is 'With how many patterns each device is compared. Eight of them take about as long as queueing a delivery.';

create function private.is_long(p_list jsonb, p_most integer) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select case jsonb_typeof(p_list)
    when 'array' then jsonb_array_length(p_list) > p_most or exists (
      select from jsonb_array_elements_text(p_list) e(entry)
       where length(e.entry) > 512 or length(e.entry) - length(replace(e.entry, '*', '')) > 4)
    else false
  end
$$;
comment on function private.is_long is 'Whether a list of a subscription has more entries than p_most, or one that takes long to compare with.';

create function private.check_subscription() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_filter jsonb := new.settings -> 'device_filter';
begin
  if private.is_long(new.settings -> 'events', 50) then
    raise exception 'settings.events: expected at most 50 kinds or types.' using errcode = '22023';
  end if;
  if exists (
       select from jsonb_each(case when jsonb_typeof(v_filter) = 'object' then v_filter end) f
        where private.is_long(f.value, 200)) then
    raise exception 'settings.device_filter: expected lists of at most 200 texts of at most 512 characters, with at most 4 * in one.'
      using errcode = '22023';
  end if;
  return new;
end
$$;
comment on function private.check_subscription is
  'The bounds that the API has too: every message is compared with these lists while it is stored, together with those of others.';
create trigger check_subscription before insert or update of settings on public.device_integrations
  for each row when (new.settings ? 'events') execute function private.check_subscription();

revoke execute on function private.count_patterns, private.is_long, private.check_subscription, private.wants_event, private.wants_device from public, anon, authenticated, service_role;
