-- People who are told: who they are, by an integration's settings, and when they may be told.

-- The bound: nobody gets the same event twice from one integration.
create unique index webhook_deliveries_people on public.webhook_deliveries (message_id, integration_id, recipient)
  where recipient is not null;
create index webhook_deliveries_tried on public.webhook_deliveries (integration_id, recipient, tried_at) where tried_at is not null;
create index webhook_deliveries_gathered on public.webhook_deliveries (gathered_by) where gathered_by is not null;

create table private.opt_outs (
  integration_id uuid not null,
  organization_id uuid not null,
  address_hash text not null check (address_hash ~ '^[0-9a-f]{64}$'),
  since timestamptz not null default now(),
  primary key (integration_id, address_hash),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table private.opt_outs is 'Numbers and addresses, hashed, that have asked not to be told by an integration.';
create index opt_outs_integration on private.opt_outs (organization_id, integration_id);
alter table private.opt_outs enable row level security;

create function private.tells_people(p_settings jsonb) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select coalesce(jsonb_typeof(p_settings -> 'recipients' -> 0) = 'object', false)
$$;
comment on function private.tells_people is 'Whether these are the settings of an integration that tells people, each by a delivery of their own.';

create function private.list_recipients(p_settings jsonb, p_level text default null) returns text[]
language sql immutable parallel safe set search_path = ''
as $$
  select case when private.tells_people(p_settings) then array(
    select distinct left(r.recipient ->> 'name', 100)
      from jsonb_array_elements(p_settings -> 'recipients') with ordinality r(recipient, place)
     where r.place <= 50 and r.recipient ->> 'name' is not null
       and (p_level is distinct from 'warning' or r.recipient ->> 'level' is distinct from 'error'))
  else '{null}' end
$$;
comment on function private.list_recipients is
  'The names of the first fifty whom an event of this level is for; one null where the integration tells no people. A name that stands twice is one.';

create function private.key_person(p_integration_id uuid, p_name text) returns uuid
language sql immutable parallel safe set search_path = ''
as $$
  select md5(p_integration_id::text || '/' || p_name)::uuid
$$;
comment on function private.key_person is 'The ordering key of what somebody is told by an integration: one after the other.';

create function private.find_recipient(p_settings jsonb, p_name text) returns jsonb
language sql immutable parallel safe set search_path = ''
as $$
  select r.recipient
    from jsonb_array_elements(case when private.tells_people(p_settings) then p_settings -> 'recipients' end)
         with ordinality r(recipient, place)
   where r.place <= 50 and left(r.recipient ->> 'name', 100) = p_name
   order by r.place limit 1
$$;
comment on function private.find_recipient is 'The entry of a name, null where nobody of that name is told any more.';

create function private.hash_address(p_recipient jsonb) returns text
language sql immutable parallel safe set search_path = ''
as $$
  select encode(sha256(convert_to(lower(coalesce(p_recipient ->> 'to', '')), 'UTF8')), 'hex')
$$;
comment on function private.hash_address is 'The number or address of a recipient as opt_outs has it.';

create function private.end_quiet(p_recipient jsonb, p_at timestamptz) returns timestamptz
language plpgsql stable set search_path = ''
as $$
declare
  v_zone text := coalesce(p_recipient ->> 'time_zone', 'UTC');
  v_here timestamp;
  v_from time;
  v_to time;
begin
  if jsonb_typeof(p_recipient -> 'quiet_hours') is distinct from 'object' then
    return null;
  end if;
  v_here := p_at at time zone v_zone;
  v_from := (p_recipient #>> '{quiet_hours,start}')::time;
  v_to := (p_recipient #>> '{quiet_hours,end}')::time;
  if v_from <= v_to and v_here::time >= v_from and v_here::time < v_to
     or v_from > v_to and v_here::time < v_to then
    return (v_here::date + v_to) at time zone v_zone;
  elsif v_from > v_to and v_here::time >= v_from then
    return (v_here::date + 1 + v_to) at time zone v_zone;
  end if;
  return null;
exception
  when invalid_datetime_format or datetime_field_overflow or invalid_parameter_value then
    return null;
end
$$;
comment on function private.end_quiet is
  'When the quiet hours end that a recipient has just now; null where there are none. What was written past the API and is no time is none.';

create function private.find_turn(p_integration_id uuid, p_name text, p_settings jsonb, p_recipient jsonb) returns timestamptz
language sql stable set search_path = ''
as $$
  select greatest(
    (select d.tried_at from public.webhook_deliveries d
      where d.integration_id = p_integration_id and d.recipient = p_name and d.tried_at is not null
      order by d.tried_at desc offset private.read_bound(p_settings, 'digest_after', 3, 100) - 1 limit 1)
      + private.read_seconds(p_settings, 'digest_seconds', 300),
    (select d.tried_at from public.webhook_deliveries d
      where d.integration_id = p_integration_id and d.recipient = p_name and d.tried_at is not null
      order by d.tried_at desc offset private.read_bound(p_recipient, 'rate_limit_per_hour', 20, 1000) - 1 limit 1)
      + interval '1 hour')
$$;
comment on function private.find_turn is
  'From when on another message may go to a recipient, by those that went; null for at once. So many in a window, and so many in an hour.';

revoke all on private.opt_outs from public, anon, authenticated, service_role;
revoke execute on function private.tells_people, private.list_recipients, private.key_person, private.find_recipient, private.hash_address,
  private.end_quiet, private.find_turn from public, anon, authenticated, service_role;
