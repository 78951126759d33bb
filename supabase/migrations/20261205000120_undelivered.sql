-- Whom a message did not reach, told as alerts; what a service reports of messages later, and what people answer.

create function private.list_missed(p_integration_id uuid, p_kind text) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce((
    select a.details -> 'recipients' from public.alerts a
     where a.integration_id = p_integration_id and a.kind = p_kind and a.resolved_at is null limit 1), '{}')
$$;
comment on function private.list_missed is 'Whom an open alert of this kind names, with the reasons.';

create function private.miss_person(p_integration_id uuid, p_kind text, p_name text, p_error text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_missed jsonb := private.list_missed(p_integration_id, p_kind);
  v_error text := left(regexp_replace(p_error, '^\w+: ', ''), 500);
begin
  v_missed := jsonb_build_object(p_name, v_error) || (v_missed - p_name);
  perform private.raise_alert(
    p_integration_id, p_kind, (select k.level from private.alert_kinds k where k.kind = p_kind),
    format('Not told: %s. %s', (select string_agg(n, ', ' order by n) from jsonb_object_keys(v_missed) n), v_error),
    jsonb_build_object('recipients', v_missed));
end
$$;
comment on function private.miss_person is 'Raises the alert that somebody was not told, or says so in the open one.';

create function private.reach_person(p_integration_id uuid, p_name text) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_alert record;
begin
  for v_alert in
    select a.id, a.kind, a.details -> 'recipients' as missed from public.alerts a
     where a.integration_id = p_integration_id and a.kind like 'notice.%' and a.resolved_at is null
       and (a.kind = 'notice.account' or a.details -> 'recipients' ? p_name)
     order by a.id for update
  loop
    if v_alert.kind = 'notice.account' or v_alert.missed - p_name = '{}' then
      update public.alerts set resolved_at = now() where id = v_alert.id;
      insert into public.integration_activity (organization_id, integration_id, kind, message, details)
      select a.organization_id, a.integration_id, 'alert.resolved', 'They are told again.', jsonb_build_object('kinds', jsonb_build_array(a.kind))
        from public.alerts a where a.id = v_alert.id;
    else
      update public.alerts a set details = a.details || jsonb_build_object('recipients', v_alert.missed - p_name) where a.id = v_alert.id;
    end if;
  end loop;
end
$$;
comment on function private.reach_person is 'Somebody was told: ends what said that they were not.';

create function private.note_people(p_people jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_person record;
begin
  for v_person in
    select p.integration_id, p.recipient, bool_or(p.outcome = 'delivered') as reached,
           max(p.error) filter (where p.error ~ '^(recipient_refused|recipient_opted_out|account_refused):') as error
      from jsonb_to_recordset(p_people) as p(integration_id uuid, recipient text, outcome text, error text)
     group by p.integration_id, p.recipient
     order by p.integration_id, p.recipient
  loop
    if v_person.reached then
      perform private.reach_person(v_person.integration_id, v_person.recipient);
    elsif v_person.error is not null then
      perform private.miss_person(
        v_person.integration_id,
        case split_part(v_person.error, ':', 1)
          when 'recipient_refused' then 'notice.unreachable' when 'recipient_opted_out' then 'notice.opted_out' else 'notice.account' end,
        v_person.recipient, v_person.error);
    end if;
  end loop;
end
$$;
comment on function private.note_people is 'What attempts to tell people came to, as far as somebody should look at it: [{integration_id, recipient, outcome, error}].';

create function private.rank_report(p_report text) returns integer
language sql immutable parallel safe set search_path = ''
as $$
  select case
    when p_report is null then -1
    when p_report in ('sent', 'ringing', 'in-progress') then 1
    when p_report in ('delivered', 'undelivered', 'failed', 'completed', 'busy', 'no-answer', 'canceled') then 2
    when p_report = 'read' then 3
    when p_report = 'again' then 4
    else 0 end
$$;
comment on function private.rank_report is
  'Reports come in any order and more than once; only a later one counts. After again, which is ours, nothing is to be said of that message any more.';

create function private.is_about(p_delivery public.webhook_deliveries, p_reference text) returns boolean
language sql immutable parallel safe set search_path = ''
as $$
  select case
    -- Nothing went out, or it is to go out anew.
    when p_delivery.attempts = 0 or p_delivery.status = 'pending' and p_delivery.replayed_at is not null then false
    when p_delivery.reference is null or p_delivery.reference = p_reference then true
    -- Of the message that is under way now, whose answer is not known yet.
    else p_delivery.report = 'again' and p_delivery.status = 'delivering' end
$$;
comment on function private.is_about is 'Whether what the other side calls p_reference is the message of a delivery, as it was made last.';

create function private.end_reported(p_delivery public.webhook_deliveries, p_report text, p_reference text) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.webhook_deliveries d
     set status = 'dead', report = p_report, reference = p_reference, lease_token = null where d.id = p_delivery.id;
  perform private.tally_ends(
    p_delivery.organization_id, p_delivery.integration_id, 'dead', 1, (p_delivery.status = 'delivered')::integer);
end
$$;
comment on function private.end_reported is 'A message was taken and did not arrive: a dead letter. What counted as delivered counts as queued again, and as dead.';

create function private.call_again(p_delivery public.webhook_deliveries, p_reference text) returns void
language sql volatile set search_path = ''
as $$
  update public.webhook_deliveries d
     set status = 'pending', report = 'again', reference = p_reference, tried_at = null, lease_token = null, due_at = now() + interval '1 minute'
   where d.id = p_delivery.id;
  insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
  select p_delivery.integration_id, p_delivery.organization_id, date_trunc('minute', now()), 1 where p_delivery.status = 'delivered'
$$;
comment on function private.call_again is
  'Queues a call that nobody answered once more, in a minute. What it was called is kept until another is made, for reports of it may come twice, and late.';

create function private.take_report(
  p_integration_id uuid, p_delivery_id uuid, p_reference text, p_report text, p_outcome text, p_error text
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_delivery public.webhook_deliveries;
  v_tries integer;
  v_is_open boolean;
begin
  select d.* into v_delivery from public.webhook_deliveries d
    join public.device_integrations i on i.id = d.integration_id and i.organization_id = d.organization_id
   where d.id = p_delivery_id and d.integration_id = p_integration_id and d.recipient is not null
     for no key update of d;
  if not found or not private.is_about(v_delivery, p_reference)
     or v_delivery.reference is not distinct from p_reference and private.rank_report(p_report) <= private.rank_report(v_delivery.report) then
    return;
  end if;
  -- It may come before the answer to whoever has sent the message is written down.
  v_is_open := v_delivery.status in ('pending', 'delivering', 'delivered');
  if p_outcome = '' or not v_is_open then
    update public.webhook_deliveries d set report = p_report, reference = p_reference where d.id = v_delivery.id;
  end if;
  if p_outcome = '' then
    return;
  end if;
  insert into public.webhook_attempts (delivery_id, organization_id, attempt, started_at, milliseconds, error)
  values (v_delivery.id, v_delivery.organization_id, v_delivery.attempts, now(), 0, left('undelivered: ' || p_error, 2000));
  select private.count_tries(i.settings) into v_tries from public.device_integrations i where i.id = p_integration_id;
  if v_is_open and p_outcome = 'again' and v_delivery.replayed_at is null and v_delivery.attempts < v_tries then
    perform private.call_again(v_delivery, p_reference);
    return;
  elsif v_is_open then
    perform private.end_reported(v_delivery, p_report, p_reference);
  end if;
  perform private.miss_person(p_integration_id, 'notice.undelivered', v_delivery.recipient, p_error);
end
$$;
comment on function private.take_report is
  'What a service reports of a message. One that did not arrive is a dead letter and an alert; one that may be tried again is, in a minute. A report also tells that a message was taken whose answer was lost.';

create function private.acknowledge_told(p_integration_id uuid, p_name text, p_code text, p_delivery_id uuid) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_alert public.alerts;
  v_is_first boolean;
begin
  select a.* into v_alert
    from (
      select w.id, w.message_id, w.organization_id, w.gathered_by from public.webhook_deliveries w
       where w.integration_id = p_integration_id and w.recipient = p_name and w.created_at > now() - interval '30 days'
       order by w.created_at desc limit 2000) d
    join lateral (select n.* from public.integration_events n where n.id = d.message_id offset 0) e
      on e.organization_id = d.organization_id and e.event_type like 'alert.%'
    join public.alerts a on a.organization_id = d.organization_id and a.id = (e.payload ->> 'id')::bigint
   where a.code = upper(p_code) or p_delivery_id in (d.id, d.gathered_by)
   order by a.resolved_at is not null, a.id desc limit 1;
  if not found then
    return null;
  end if;
  update public.alerts a set acknowledged_at = now(), details = a.details || jsonb_build_object('acknowledged_by', p_name)
   where a.id = v_alert.id and a.acknowledged_at is null;
  v_is_first := found;
  if v_is_first then
    insert into public.integration_activity (organization_id, integration_id, kind, message, details)
    values (v_alert.organization_id, p_integration_id, 'alert.acknowledged', left(format('%s looks after %s.', p_name, v_alert.kind), 2000),
            jsonb_build_object('alert_id', v_alert.id, 'recipient', p_name));
    if exists (select from public.organizations o where o.id = v_alert.organization_id) then
      perform private.record_entry(
        v_alert.organization_id, 'alerts', coalesce(v_alert.integration_id, v_alert.organization_id), 'update',
        jsonb_build_object('acknowledged', jsonb_build_object('old', null, 'new', v_alert.kind), 'by', jsonb_build_object('old', null, 'new', p_name)));
    end if;
  end if;
  return jsonb_build_object(
    'code', v_alert.code, 'kind', v_alert.kind, 'is_first', v_is_first, 'is_over', v_alert.resolved_at is not null);
end
$$;
comment on function private.acknowledge_told is
  'Somebody who was told of an alert looks after it: by its code, or by the message they were told with. Null where they were told of no such.';

create function public.take_callback(p_integration_id uuid, p_heard jsonb) returns jsonb
language plpgsql volatile set search_path = '' set lock_timeout = '3s'
as $$
begin
  perform private.take_report(p_integration_id, r.delivery_id, r.reference, left(r.report, 40), r.outcome, r.error)
     from jsonb_to_recordset(coalesce(p_heard -> 'reports', '[]')) as r(delivery_id uuid, reference text, report text, outcome text, error text)
    where length(r.reference) <= 500 limit 100;
  insert into private.opt_outs (integration_id, organization_id, address_hash)
  select i.id, i.organization_id, o.address_hash
    from jsonb_to_recordset(coalesce(p_heard -> 'opt_outs', '[]')) as o(address_hash text, is_out boolean)
    join lateral (select * from public.device_integrations n where n.id = p_integration_id offset 0) i on true
   where o.is_out
     -- Whoever may write to the number can fill no table, and takes nobody's place who is told.
     and (o.address_hash in (select private.hash_address(r.recipient) from jsonb_array_elements(i.settings -> 'recipients') r(recipient))
          or (select count(*) from (select from private.opt_outs n where n.integration_id = i.id limit 10000) n) < 10000)
   limit 100
  on conflict do nothing;
  delete from private.opt_outs p
   using jsonb_to_recordset(coalesce(p_heard -> 'opt_outs', '[]')) as o(address_hash text, is_out boolean)
   where p.integration_id = p_integration_id and p.address_hash = o.address_hash and not o.is_out;
  return (
    select coalesce(jsonb_agg(private.acknowledge_told(p_integration_id, a.recipient, a.code, a.delivery_id)), '[]')
      from jsonb_to_recordset(coalesce(p_heard -> 'acknowledgements', '[]')) as a(recipient text, code text, delivery_id uuid));
end
$$;
comment on function public.take_callback is
  'What a proven callback says of messages and people: {reports: [{delivery_id, reference, report, outcome, error}], opt_outs: [{address_hash, is_out}], '
  'acknowledgements: [{recipient, code, delivery_id}]}; of each of the last the alert, null where that person was told of none such.';

revoke execute on function private.list_missed, private.miss_person, private.reach_person, private.note_people, private.rank_report, private.is_about,
  private.end_reported, private.call_again, private.take_report, private.acknowledge_told, public.take_callback from public, anon, authenticated, service_role;
