-- Messages to people: which goes next to whom, what waits, and what waits together goes as one message with a list.

create function private.end_waiting(p_integration_id uuid, p_name text, p_status text, p_error text) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_ended integer;
begin
  with ended as (
    update public.webhook_deliveries d set status = p_status, lease_token = null
     where d.id = any (array(
       select w.id from public.webhook_deliveries w
        where w.integration_id = p_integration_id and w.recipient = p_name and w.stage in (0, 1, 4)
        limit 5000 for update skip locked))
    returning d.id, d.organization_id, d.attempts
  )
  insert into public.webhook_attempts (delivery_id, organization_id, attempt, started_at, milliseconds, error)
  select e.id, e.organization_id, e.attempts + 1, now(), 0, p_error from ended e;
  get diagnostics v_ended = row_count;
  return v_ended;
end
$$;
comment on function private.end_waiting is 'Ends, without a message, what waits for somebody who is not to be told any more; how many that were.';

create function private.hold_waiting(p_integration_id uuid, p_name text, p_until timestamptz, p_but uuid default null, p_lets_errors boolean default false)
returns void
language sql volatile set search_path = ''
as $$
  update public.webhook_deliveries d set due_at = p_until
   where d.id = any (array(
     select w.id from public.webhook_deliveries w
      where w.integration_id = p_integration_id and w.recipient = p_name and w.stage in (0, 4) and w.due_at <= now()
        and w.id is distinct from p_but
        and not (p_lets_errors and exists (
          select from public.integration_events e
           where e.id = w.message_id and e.organization_id = w.organization_id and e.payload ->> 'level' = 'error'))
      limit 5000 for update skip locked))
$$;
comment on function private.hold_waiting is 'What is due to somebody is due then; alerts that are errors stay as they are where they are let through.';

create function private.choose_notice(p_organization_id uuid, p_integration_id uuid, p_name text, p_settings jsonb) returns uuid
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_recipient jsonb := private.find_recipient(p_settings, p_name);
  v_after constant integer := private.read_bound(p_settings, 'digest_after', 3, 100);
  v_quiet_to timestamptz;
  v_turn timestamptz;
  v_lead record;
  v_told bigint;
  v_due bigint;
begin
  if v_recipient is null then
    perform private.end_waiting(p_integration_id, p_name, 'cancelled', 'recipient_gone: Nobody of this name is among the recipients any more.');
    return null;
  end if;
  if exists (
       select from private.opt_outs o
        where o.integration_id = p_integration_id and o.organization_id = p_organization_id
          and o.address_hash = private.hash_address(v_recipient)) then
    if private.end_waiting(p_integration_id, p_name, 'dead', 'recipient_opted_out: They have asked not to be told. They can allow it again themselves, at the service.') > 0 then
      perform private.note_people(jsonb_build_array(jsonb_build_object(
        'integration_id', p_integration_id, 'recipient', p_name, 'outcome', 'dead',
        'error', 'recipient_opted_out: They have asked not to be told. They can allow it again themselves, at the service.')));
    end if;
    return null;
  end if;
  v_quiet_to := private.end_quiet(v_recipient, now());
  if v_quiet_to > now() then
    perform private.hold_waiting(
      p_integration_id, p_name, v_quiet_to, null, coalesce(v_recipient -> 'quiet_errors', 'true') <> 'false');
  end if;
  v_turn := case
    -- One after the other: so what went can be told from what did not, and nothing overtakes. What may have gone and is to be
    -- tried again counts as under way, but not for ever.
    when exists (
      select from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.recipient = p_name
         and (d.stage = 2 or d.stage = 1 and d.tried_at > now() - interval '10 minutes')) then now() + interval '1 second'
    else private.find_turn(p_integration_id, p_name, p_settings, v_recipient)
  end;
  if v_turn > now() then
    perform private.hold_waiting(p_integration_id, p_name, v_turn);
    return null;
  end if;
  select d.id, d.created_at, d.due_at into v_lead
    from public.webhook_deliveries d
   where d.integration_id = p_integration_id and d.recipient = p_name and d.stage in (0, 4) and d.due_at <= now()
   order by d.created_at, d.id limit 1 for update skip locked;
  if not found then
    return null;
  end if;
  v_told := (
    select count(*) from (
      select from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.recipient = p_name
         and d.tried_at > now() - private.read_seconds(p_settings, 'digest_seconds', 300) limit 100) t);
  v_due := (
    select count(*) from (
      select from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.recipient = p_name and d.stage in (0, 4) and d.due_at <= now() limit 101) w);
  if v_due > 1 and (v_lead.due_at > v_lead.created_at + interval '10 seconds' or v_told > 0 and v_due > v_after - v_told) then
    update public.webhook_deliveries d set gathered_by = v_lead.id
     where d.id = any (array(
       select w.id from public.webhook_deliveries w
        where w.integration_id = p_integration_id and w.recipient = p_name and w.stage in (0, 4) and w.due_at <= now() and w.id <> v_lead.id
        order by w.created_at limit 5000 for update skip locked));
  else
    perform private.hold_waiting(p_integration_id, p_name, now() + interval '1 second', v_lead.id);
  end if;
  return v_lead.id;
end
$$;
comment on function private.choose_notice is
  'What goes to somebody now: the oldest that is due, alone, or with all that is due gathered by it where that is more than may go by itself in the '
  'window, or has waited already. Null where nothing may go now: then it is due when something may.';

create function private.gather_notices(p_picked uuid[]) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
declare
  v_picked uuid[] := p_picked;
  v_chosen uuid;
  v_people record;
begin
  for v_people in
    select d.organization_id, d.integration_id, d.recipient, i.settings, array_agg(d.id) as ids
      from public.webhook_deliveries d
      join public.device_integrations i on i.id = d.integration_id and i.organization_id = d.organization_id
     where d.id = any (p_picked) and d.recipient is not null and d.stage in (0, 4)
     group by d.organization_id, d.integration_id, d.recipient, i.settings
     order by d.integration_id, d.recipient
  loop
    v_picked := array(select p.id from unnest(v_picked) p(id) where p.id <> all (v_people.ids));
    v_chosen := private.choose_notice(v_people.organization_id, v_people.integration_id, v_people.recipient, v_people.settings);
    if v_chosen is not null then
      v_picked := v_picked || v_chosen;
    end if;
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
    join public.integration_events e on e.id = d.message_id and e.organization_id = d.organization_id
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
        left join public.integration_events e on m.id is null and e.id = n.message_id and e.organization_id = n.organization_id
        left join public.devices v on v.organization_id = n.organization_id and v.id = coalesce(m.device_id, e.device_id)), '[]'))
$$;
comment on function private.list_gathered is 'What else the message of a delivery tells of: how much, and the first fifty.';

create function private.describe_notice(p_delivery public.webhook_deliveries, p_event jsonb) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'recipient', p_delivery.recipient, 'tried_at', p_delivery.tried_at,
    'is_repeat', p_delivery.attempts > 1 and p_delivery.replayed_at is null,
    'reference', case when p_delivery.replayed_at is null then p_delivery.reference end,
    'earlier', private.find_earlier(p_delivery, p_event),
    'known', coalesce((
      select jsonb_agg(d.reference) from public.webhook_deliveries d
       where d.integration_id = p_delivery.integration_id and d.recipient = p_delivery.recipient and d.id <> p_delivery.id
         and d.tried_at > p_delivery.tried_at - interval '1 hour' and d.reference is not null), '[]'),
    'gathered', private.list_gathered(p_delivery))
$$;
comment on function private.describe_notice is 'Of a leased delivery whom it is for, whether it may have gone out already, and what it tells of beside.';

create function private.follow_lead() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.webhook_deliveries d set status = new.status, lease_token = null
   where d.gathered_by = new.id and d.status <> new.status and d.status <> 'cancelled';
  return null;
end
$$;
comment on function private.follow_lead is 'What went along with a message ends as that does.';
create trigger follow_lead after update of status on public.webhook_deliveries
  for each row
  when (new.recipient is not null and new.gathered_by is null and new.status in ('delivered', 'dead', 'cancelled') and old.status <> new.status)
  execute function private.follow_lead();

revoke execute on function private.end_waiting, private.hold_waiting, private.choose_notice, private.gather_notices, private.choose_start,
  private.find_earlier, private.list_gathered, private.describe_notice, private.follow_lead
  from public, anon, authenticated, service_role;
