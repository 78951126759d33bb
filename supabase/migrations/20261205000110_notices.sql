-- Messages to people: which goes next to whom, what waits, and what waits together goes as one message with a list.

create function private.list_waiting(p_organization_id uuid, p_integration_id uuid, p_name text, p_limit integer)
returns setof public.webhook_deliveries
language sql stable set search_path = ''
as $$
  select d.* from public.webhook_deliveries d
   where d.integration_id = p_integration_id and d.organization_id = p_organization_id
     and d.ordering_key = private.key_person(p_integration_id, p_name) and d.stage = 3
     and (d.attempts = 0 or d.replayed_at is not null)
     and d.message_id < coalesce(
       (select f.first_id from private.fan_outs f where f.webhook_id = p_integration_id and f.tries <= 5 order by f.first_id limit 1),
       'ffffffff-ffff-ffff-ffff-ffffffffffff')
   order by d.message_id limit p_limit
$$;
comment on function private.list_waiting is 'What somebody has not been told yet, the oldest first, up to what is still to be queued.';

create function private.tally_ends(
  p_organization_id uuid, p_integration_id uuid, p_status text, p_count bigint, p_again bigint default 0
) returns void
language sql volatile set search_path = ''
as $$
  insert into private.metric_tallies (integration_id, organization_id, minute, enqueued, deliveries, dead, cancelled)
  select p_integration_id, p_organization_id, date_trunc('minute', now()), p_again, case p_status when 'delivered' then p_count else 0 end,
         case p_status when 'dead' then p_count else 0 end, case p_status when 'cancelled' then p_count else 0 end
   where p_count > 0
$$;
comment on function private.tally_ends is
  'Counts deliveries to people that ended without an attempt of their own; p_again of them had ended before, otherwise, and count as queued again.';

create function private.end_waiting(p_organization_id uuid, p_integration_id uuid, p_name text, p_status text, p_error text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_done text;
begin
  with ended as (
    update public.webhook_deliveries d set status = p_status, lease_token = null
     where d.id = any (array(select w.id from private.list_waiting(p_organization_id, p_integration_id, p_name, 500) w))
    returning d.id, d.organization_id, d.attempts
  ),
  recorded as (
    insert into public.webhook_attempts (delivery_id, organization_id, attempt, started_at, milliseconds, error)
    select e.id, e.organization_id, e.attempts + 1, now(), 0, p_error from ended e
  )
  select private.tally_ends(p_organization_id, p_integration_id, p_status, count(*)) into v_done from ended;
end
$$;
comment on function private.end_waiting is 'Ends, without a message, what waits for somebody who is not to be told any more: five hundred at a time.';

create function private.find_hold(
  p_integration_id uuid, p_name text, p_settings jsonb, p_recipient jsonb, p_quiet_to timestamptz, p_is_urgent boolean
) returns timestamptz
language sql stable set search_path = ''
as $$
  select case
    -- One after the other: so what went can be told from what did not, and nothing overtakes.
    when exists (
      select from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.ordering_key = private.key_person(p_integration_id, p_name) and d.stage = 2)
      then now() + interval '1 second'
    -- Looked at again meanwhile where errors are let through, for one may come.
    when p_quiet_to > now() and not p_is_urgent then
      case when coalesce(p_recipient -> 'quiet_errors', 'true') = 'false' then p_quiet_to else least(p_quiet_to, now() + interval '5 seconds') end
    else private.find_turn(p_integration_id, p_name, p_settings, p_recipient)
  end
$$;
comment on function private.find_hold is 'Until when nothing may go to somebody; null or past where something may.';

create function private.find_urgent(p_organization_id uuid, p_integration_id uuid, p_name text) returns uuid
language sql stable set search_path = ''
as $$
  select w.id
    from private.list_waiting(p_organization_id, p_integration_id, p_name, 500) w
    join lateral (select n.* from public.integration_events n where n.id = w.message_id offset 0) e on e.organization_id = w.organization_id
   where e.event_type like 'alert.%' and e.payload ->> 'level' = 'error'
   order by w.message_id limit 1
$$;
comment on function private.find_urgent is 'The oldest alert that is an error, of the first five hundred that wait for somebody.';

create function private.choose_notice(
  p_head public.webhook_deliveries, p_settings jsonb, p_budget integer, out chosen uuid, out gathered integer
)
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  c_out constant text := 'recipient_opted_out: They have asked not to be told. They can allow it again themselves, at the service.';
  v_recipient jsonb := private.find_recipient(p_settings, p_head.recipient);
  v_after constant integer := private.read_bound(p_settings, 'digest_after', 3, 100);
  v_quiet_to timestamptz := private.end_quiet(v_recipient, now());
  v_urgent uuid;
  v_hold timestamptz;
  v_told bigint;
  v_waiting bigint;
begin
  gathered := 0;
  if v_recipient is null then
    perform private.end_waiting(
      p_head.organization_id, p_head.integration_id, p_head.recipient, 'cancelled',
      'recipient_gone: Nobody of this name is among the recipients any more.');
    return;
  elsif exists (
      select from private.opt_outs o
       where o.integration_id = p_head.integration_id and o.organization_id = p_head.organization_id
         and o.address_hash = private.hash_address(v_recipient)) then
    perform private.end_waiting(p_head.organization_id, p_head.integration_id, p_head.recipient, 'dead', c_out);
    perform private.note_people(jsonb_build_array(jsonb_build_object(
      'integration_id', p_head.integration_id, 'recipient', p_head.recipient, 'outcome', 'dead', 'error', c_out)));
    return;
  end if;
  if v_quiet_to > now() and coalesce(v_recipient -> 'quiet_errors', 'true') <> 'false' then
    v_urgent := private.find_urgent(p_head.organization_id, p_head.integration_id, p_head.recipient);
  end if;
  v_hold := private.find_hold(
    p_head.integration_id, p_head.recipient, p_settings, v_recipient, v_quiet_to, v_urgent is not null);
  if v_hold > now() then
    -- What is behind it waits for it.
    update public.webhook_deliveries d set due_at = v_hold where d.id = p_head.id;
    return;
  end if;
  chosen := coalesce(v_urgent, p_head.id);
  v_told := (
    select count(*) from (
      select from public.webhook_deliveries d
       where d.integration_id = p_head.integration_id and d.recipient = p_head.recipient
         and d.tried_at > now() - private.read_seconds(p_settings, 'digest_seconds', 300) limit 100) t);
  v_waiting := (select count(*) from private.list_waiting(p_head.organization_id, p_head.integration_id, p_head.recipient, 500));
  if v_urgent is null and v_waiting > 1
     and (p_head.due_at > p_head.created_at + interval '10 seconds' or v_told > 0 and v_waiting > v_after - v_told) then
    if p_budget < v_waiting then
      chosen := null;
      return;
    end if;
    update public.webhook_deliveries d set gathered_by = p_head.id
     where d.id = any (array(
       select w.id from private.list_waiting(p_head.organization_id, p_head.integration_id, p_head.recipient, 500) w
        where w.id <> p_head.id));
    get diagnostics gathered = row_count;
  end if;
end
$$;
comment on function private.choose_notice is
  'What goes to somebody now, whose oldest that waits is p_head: that alone, or with what waits behind it gathered by it where that is more than may go '
  'by itself in the window, or has waited already; in quiet hours an error. Null where nothing may go now: then it is due when something may, or p_budget '
  'rows are too few to gather.';

create function private.gather_notices(p_picked uuid[]) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan set lock_timeout = '100ms'
as $$
declare
  v_picked uuid[] := p_picked;
  -- So many rows at a time, whoever's storm it is: what is more is gathered with the next lease.
  v_budget integer := 1000;
  v_seen uuid[] := '{}';
  v_busy uuid[] := '{}';
  v_chosen record;
  v_head record;
begin
  for v_head in
    -- By their ids alone, and then what they are: told their stage as well, the planner may read all that wait in it instead.
    select d.delivery, i.settings from unnest(p_picked) p(id)
      join lateral (select n as delivery, n.* from public.webhook_deliveries n where n.id = p.id offset 0) d
        on d.recipient is not null and d.stage = 3 and (d.attempts = 0 or d.replayed_at is not null)
      join lateral (select n.* from public.device_integrations n where n.id = d.integration_id offset 0) i on i.organization_id = d.organization_id
     order by random()
  loop
    v_picked := array_remove(v_picked, (v_head.delivery).id);
    continue when (v_head.delivery).ordering_key = any (v_seen) or (v_head.delivery).organization_id = any (v_busy);
    v_seen := v_seen || (v_head.delivery).ordering_key;
    -- One that somebody holds is waited for by nobody.
    perform from public.webhook_deliveries d where d.id = (v_head.delivery).id for no key update skip locked;
    continue when not found;
    begin
      v_chosen := private.choose_notice(v_head.delivery, v_head.settings, v_budget);
      v_budget := v_budget - v_chosen.gathered;
      v_picked := v_picked || array_remove(array[v_chosen.chosen], null);
    exception when lock_not_available then
      -- A statement of its own organization is in the way, of whatever else it has too; the next lease looks again.
      v_busy := v_busy || (v_head.delivery).organization_id;
    end;
  end loop;
  return v_picked;
end
$$;
comment on function private.gather_notices is 'What was picked, with at most one message to each person, and none to whom none may go now.';

create function private.choose_start(p_delivery public.webhook_deliveries) returns timestamptz
language sql stable set search_path = ''
as $$
  select case when p_delivery.attempts = 0 or p_delivery.replayed_at is not null then now() else coalesce(p_delivery.tried_at, now()) end
$$;
comment on function private.choose_start is 'Since when the message of a delivery may be with the other side: its first attempt, or that of its replay.';

create function private.find_earlier(p_delivery public.webhook_deliveries, p_event jsonb) returns text
language sql stable set search_path = ''
as $$
  select d.reference
    from (
      select w.id, w.message_id, w.organization_id, w.reference, w.tried_at from public.webhook_deliveries w
       where w.integration_id = p_delivery.integration_id and w.recipient = p_delivery.recipient
         and w.tried_at > now() - interval '30 days' and w.id <> p_delivery.id
       order by w.tried_at desc limit 1000) d
    join lateral (select n.* from public.integration_events n where n.id = d.message_id offset 0) e on e.organization_id = d.organization_id
   where d.reference is not null and e.event_type like 'alert.%' and e.payload ->> 'id' = p_event ->> 'id'
     and not exists (select from public.webhook_deliveries g where g.gathered_by = d.id)
   order by d.tried_at desc limit 1
$$;
comment on function private.find_earlier is 'What the other side calls the last message that told the same person of the same alert, and of nothing else.';

create function private.list_gathered(p_delivery public.webhook_deliveries) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'count', (select count(*) from public.webhook_deliveries g where g.gathered_by = p_delivery.id and g.status <> 'cancelled'),
    'events', coalesce((
      select jsonb_agg(jsonb_build_object(
               'type', n.event_type, 'at', coalesce(m.observed_at, e.created_at),
               'payload', case when pg_column_size(coalesce(m.payload, e.payload)) <= 8192 then coalesce(m.payload, e.payload) end,
               'device', coalesce(v.external_id, m.external_id), 'name', v.name) order by n.created_at, n.id)
        from (
          select g.* from public.webhook_deliveries g
           where g.gathered_by = p_delivery.id and g.status <> 'cancelled' order by g.created_at, g.id limit 50) n
        left join lateral (
          select s.* from public.device_messages s where s.id = n.message_id and s.received_at = n.message_received_at offset 0) m
          on m.organization_id = n.organization_id
        left join lateral (select x.* from public.integration_events x where x.id = n.message_id offset 0) e
          on m.id is null and e.organization_id = n.organization_id
        left join lateral (select x.* from public.devices x where x.id = coalesce(m.device_id, e.device_id) offset 0) v
          on v.organization_id = n.organization_id), '[]'))
$$;
comment on function private.list_gathered is 'What else the message of a delivery tells of: how much, and the first fifty.';

create function private.list_namesakes(p_delivery public.webhook_deliveries) returns text[]
language sql stable set search_path = ''
as $$
  select array(
    select distinct left(r.recipient ->> 'name', 100)
      from public.device_integrations i
      cross join lateral jsonb_array_elements(case when private.tells_people(i.settings) then i.settings -> 'recipients' end)
        with ordinality r(recipient, place)
     where i.id = p_delivery.integration_id and i.organization_id = p_delivery.organization_id and r.place <= 50
       and r.recipient ->> 'to' = private.find_recipient(i.settings, p_delivery.recipient) ->> 'to')
$$;
comment on function private.list_namesakes is 'The recipients that have the number or address of a delivery''s, it among them.';

create function private.describe_notice(p_delivery public.webhook_deliveries, p_event jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'recipient', p_delivery.recipient, 'tried_at', p_delivery.tried_at,
    'is_repeat', p_delivery.attempts > 1 and p_delivery.replayed_at is null,
    'reference', case when p_delivery.replayed_at is null and p_delivery.report is distinct from 'again' then p_delivery.reference end,
    'earlier', private.find_earlier(p_delivery, p_event),
    -- Of all that went to that number, under whichever name: what is one of these is not the message that is looked for.
    'known', case when p_delivery.attempts > 1 then coalesce((
      select jsonb_agg(d.reference) from public.webhook_deliveries d
       where d.integration_id = p_delivery.integration_id and d.recipient = any (private.list_namesakes(p_delivery)) and d.id <> p_delivery.id
         and d.tried_at > p_delivery.tried_at - interval '1 hour' and d.reference is not null), '[]') else '[]' end,
    'gathered', private.list_gathered(p_delivery))
$$;
comment on function private.describe_notice is 'Of a leased delivery whom it is for, whether it may have gone out already, and what it tells of beside.';

create function private.follow_lead() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_done text;
begin
  with ended as (
    update public.webhook_deliveries d set status = new.status, lease_token = null
      from public.webhook_deliveries o
     where d.gathered_by = new.id and d.status <> new.status and d.status <> 'cancelled' and o.id = d.id
    returning o.status as before
  )
  select private.tally_ends(new.organization_id, new.integration_id, new.status, count(*), count(*) filter (where e.before <> 'pending'))
    into v_done from ended e;
  return null;
end
$$;
comment on function private.follow_lead is 'What went along with a message ends as that does.';
create trigger follow_lead after update of status on public.webhook_deliveries
  for each row
  when (new.recipient is not null and new.gathered_by is null and new.status in ('delivered', 'dead', 'cancelled') and old.status <> new.status)
  execute function private.follow_lead();

revoke execute on function private.list_waiting, private.tally_ends, private.end_waiting, private.find_hold, private.find_urgent, private.choose_notice,
  private.gather_notices, private.choose_start,
  private.find_earlier, private.list_gathered, private.list_namesakes, private.describe_notice, private.follow_lead
  from public, anon, authenticated, service_role;
