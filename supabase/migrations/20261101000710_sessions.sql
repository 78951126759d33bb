-- Leases of sessions: taken, renewed, parked, ended.

create function private.is_next(p_integration_id uuid, p_due_at timestamptz, p_worker uuid) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return p_due_at <= now() - interval '0.5 seconds' * least(6, (
    select count(*) from public.integration_schedules s
     where s.integration_id = p_integration_id and s.holder = p_worker and s.lease_token is not null and s.due_at > now()));
end
$$;
comment on function private.is_next is
  'Whether a process takes a slot that is due: the more slots of the integration it holds, the longer it leaves one to others, up to 3 s.';

create function private.find_due_slot(p_integration_id uuid, p_worker uuid) returns smallint
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select s.slot from public.integration_schedules s
     where s.integration_id = p_integration_id and s.due_at <= now() and private.is_next(s.integration_id, s.due_at, p_worker)
     order by s.due_at, s.slot limit 1);
end
$$;
comment on function private.find_due_slot is 'Of an integration with several slots the one that a process takes next: one with each lease, so that processes side by side share them.';

create function private.list_waiting_sessions(p_most integer, p_worker uuid) returns private.waiting[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  if not exists (select from public.integration_schedules s where s.due_at <= now()) then
    return '{}';
  end if;
  return array(
  -- From each organization to the next, one step along the index: what one has waiting is in no other's way.
  with recursive organizations as (
    (select s.organization_id as id from public.integration_schedules s order by s.organization_id limit 1)
    union all
    select (select s.organization_id from public.integration_schedules s
             where s.organization_id > o.id order by s.organization_id limit 1)
      from organizations o
     where o.id is not null
  ),
  waiting as materialized (
    select o.id from organizations o
     -- Asked of each: joined, all that is due might be read.
     where (select true from public.integration_schedules s where s.organization_id = o.id and s.due_at <= now() limit 1)
  )
  select (w.integration_id, w.organization_id, w.integration_id, w.due_at)::private.waiting
    from waiting o
    cross join lateral (
      select s.integration_id, s.organization_id, s.due_at from public.integration_schedules s
       where s.organization_id = o.id and s.due_at <= now()
         and (s.slots = 1 or private.is_next(s.integration_id, s.due_at, p_worker))
       order by s.due_at
       limit (select 4 + 4 * p_most / greatest(1, count(*)) from waiting)) w);
end
$$;
comment on function private.list_waiting_sessions is 'What is due of each organization, the longest first: of all about four times p_most, the fewer of each the more they are.';

create function private.count_sessions() returns jsonb
language sql stable set search_path = '' set enable_seqscan = off -- its plan may be made while there are none
as $$
  select coalesce(jsonb_object_agg(h.organization_id, h.n), '{}')
    from (select s.organization_id, count(*) as n from public.integration_schedules s
           -- Said so that only what is held is read, and not all that will be due some day.
           where s.lease_token is not null and (s.due_at > now()) is true group by 1) h
$$;
comment on function private.count_sessions is 'How many sessions of each organization are under way, over all processes.';

create function public.lease_sessions(
  p_limit integer, p_lease_seconds integer, p_shares jsonb default '{}', p_bytes integer default 8388608, p_worker uuid default null
)
returns table (
  id uuid, lease_token uuid, organization_id uuid, integration_type text, name text, settings jsonb, sealed_sent text,
  sealed_kept text, seal_count integer, state jsonb, slot smallint, slots smallint
)
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with turns as materialized (
    -- Twice as many as are wanted: some are being taken by others just now.
    select t.id, t.n from unnest(private.take_turns(
      private.list_waiting_sessions(2 * p_limit, p_worker), private.count_sessions(), 1, p_shares, 2 * p_limit)) with ordinality t(id, n)
  ),
  locked as (
    select s.integration_id, s.slot, t.n,
           private.count_bytes(i.settings, i.sealed_sent, i.sealed_kept) + coalesce(octet_length(private.show_state(s.state)::text), 0) as bytes
      from turns t
      -- Said so, here and below, that it is looked up by its id: of whoever has most waiting all would be read for each.
      join public.integration_schedules s on s.integration_id = t.id and (s.due_at <= now()) is true
       and (s.slots = 1 or s.slot = private.find_due_slot(t.id, p_worker))
      join private.sealed_integrations i on i.id = s.integration_id and (i.organization_id = s.organization_id) is true
     order by t.n
     limit p_limit
     for no key update of s skip locked
  ),
  fitting as (
    select f.integration_id, f.slot
      from (select l.*, sum(l.bytes) over (order by l.n) - l.bytes < p_bytes as fits from locked l) f
     where f.fits
  ),
  killed as (
    -- Of a session that nobody has ended: it was there when its lease was renewed last.
    insert into private.metric_tallies (integration_id, organization_id, minute, connected_seconds)
    select k.integration_id, k.organization_id, u.minute, u.seconds / k.slots
      from fitting f
      join public.integration_schedules k on k.integration_id = f.integration_id and k.slot = f.slot and k.lease_token is not null
      cross join lateral private.list_uptime(k.connected_to, k.due_at - make_interval(secs => p_lease_seconds)) u
  )
  update public.integration_schedules s
     set lease_token = gen_random_uuid(), due_at = now() + make_interval(secs => p_lease_seconds), connected_to = null,
         holder = case when s.slots > 1 then p_worker end
    from fitting f
    join private.sealed_integrations i on i.id = f.integration_id
   where s.integration_id = f.integration_id and s.slot = f.slot and (i.organization_id = s.organization_id) is true
  returning i.id, s.lease_token, i.organization_id, i.integration_type, i.name, i.settings, i.sealed_sent, i.sealed_kept,
    i.seal_count, private.show_state(s.state), s.slot, s.slots;
end
$$;
comment on function public.lease_sessions is
  'Takes up to p_limit due integrations for p_lease_seconds, with their sealed config and kept state, null where that is too large: first of who has least under way. '
  'Of an integration with several slots one at a time: who holds some already, as p_worker, leaves it to others first. '
  'Together they have about p_bytes, or are one.';

create function private.is_to_yield(p_organization_id uuid) returns boolean
language plpgsql volatile set search_path = '' set enable_seqscan = off -- its plans may be made while there are few
as $$
declare
  v_held jsonb;
  v_under_way bigint;
  v_waiting bigint;
begin
  if not exists (select from public.integration_schedules s where s.due_at < now() - interval '5 seconds') then
    return false;
  end if;
  v_held := private.count_sessions();
  v_under_way := (select sum(h.value::integer) from jsonb_each_text(v_held) h);
  select count(*) into v_waiting
    from (select s.organization_id from public.integration_schedules s
           where s.due_at < now() - interval '5 seconds' order by s.due_at limit least(v_under_way, 1000)) w
   where coalesce((v_held ->> w.organization_id::text)::integer, 0) <= (v_held ->> p_organization_id::text)::integer;
  -- As many of those under way as wait, not all of them: how many more wait is nothing to them.
  return random() * v_under_way < v_waiting;
end
$$;
comment on function private.is_to_yield is
  'Whether an idle session is to give its place to one that waits, of an organization that has no more under way than its own.';

create function public.renew_session(
  p_integration_id uuid, p_lease_token uuid, p_lease_seconds integer, p_may_yield boolean default false
) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_connected_to timestamptz;
  v_yields boolean;
begin
  update public.integration_schedules
     set due_at = now() + make_interval(secs => p_lease_seconds)
   where integration_id = p_integration_id and lease_token = p_lease_token
  returning organization_id, connected_to into v_organization_id, v_connected_to;
  if not found then
    perform private.refuse_late_worker();
  end if;
  if v_connected_to < date_trunc('minute', now()) then
    perform private.count_uptime(p_integration_id, p_lease_token);
  end if;
  v_yields := p_may_yield and private.is_to_yield(v_organization_id);
  if v_yields then
    insert into public.integration_activity (organization_id, integration_id, kind, message)
    select v_organization_id, p_integration_id, 'session.yielded',
           'Others wait for a place and nothing came here, so it takes turns with them: what its broker keeps is read at its next turn. '
           'More workers, or larger ones, end this.'
     where not exists (
       select from public.integration_activity a
        where a.organization_id = v_organization_id and a.integration_id = p_integration_id and a.kind = 'session.yielded'
          and a.created_at > now() - interval '1 hour');
  end if;
  return v_yields;
end
$$;
comment on function public.renew_session is
  'Extends a lease that is still held; PT409 when it was lost. With p_may_yield, of an idle session: whether it is to end, for others that wait; '
  'the activity says so, once an hour.';

create function public.park_session(p_integration_id uuid, p_lease_token uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.integration_schedules
     set lease_token = null, attempts = 0, due_at = 'infinity'
   where integration_id = p_integration_id and lease_token = p_lease_token;
  if not found then
    perform private.refuse_late_worker();
  end if;
  update public.device_integrations
     set status = 'active', error_message = null
   where id = p_integration_id and status = 'error';
end
$$;
comment on function public.park_session is
  'Ends the lease of an integration whose config is right but has nothing to poll; a change of it makes it due again.';

create function public.finish_session(
  p_integration_id uuid, p_lease_token uuid, p_error text default null, p_due_seconds double precision default 0,
  p_summary jsonb default null, p_code text default null
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_schedule public.integration_schedules;
  v_before public.device_integrations;
  v_summary jsonb := p_summary - 'response_ms' - 'response_ms_sum' - 'certificate';
  v_message text;
  v_fails boolean := p_error is not null;
begin
  perform private.count_uptime(p_integration_id, p_lease_token);
  update public.integration_schedules
     set lease_token = null, connected_to = null, summary = case when slots > 1 then coalesce(v_summary, summary) end,
         attempts = case when p_error is null then 0 else attempts + 1 end,
         due_at = case
           when p_error is null then now() + p_due_seconds * interval '1 second'
           else now() + least(15 * 2 ^ least(attempts, 6), 300) * (0.8 + 0.4 * random()) * interval '1 second'
         end
   where integration_id = p_integration_id and lease_token = p_lease_token
  returning * into v_schedule;
  if not found then
    perform private.refuse_late_worker();
  end if;
  select * into v_before from public.device_integrations where id = p_integration_id for update;
  if v_schedule.slots > 1 then
    v_summary := private.sum_sessions(p_integration_id);
    v_fails := private.is_failing(p_integration_id);
  elsif p_error is null and private.count_slots(v_before.settings) > 1 and v_schedule.state <> '{}' then
    -- The first session has placed all there is; from here on each slot reads its own.
    perform private.share_session(p_integration_id, private.count_slots(v_before.settings));
  end if;
  v_message := left(coalesce(p_error, case when v_fails then v_before.error_message end, v_summary ->> 'refused'), 2000);
  update public.device_integrations
     set status = case when v_fails then 'error' else 'active' end,
         error_message = v_message,
         sync_status = case when v_fails then 'failed' else 'ok' end,
         last_sync_at = case when p_error is null then now() else last_sync_at end,
         last_session = coalesce(v_summary, last_session)
   where id = p_integration_id;
  if v_message is distinct from v_before.error_message and (p_error is not null or v_message is null) then
    insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
    values (
      v_before.organization_id, p_integration_id,
      case when p_error is null then 'session.recovered' else 'session.failed' end,
      case when p_error is null then 'info' else 'error' end,
      coalesce(v_message, 'The connection works again.'),
      jsonb_build_object('attempts', v_schedule.attempts)
    );
  end if;
  insert into private.metric_tallies (
    integration_id, organization_id, minute, sessions, failed_sessions, session_seconds, errors, response_ms, response_ms_sum)
  select i.id, i.organization_id, date_trunc('minute', now()), 1, (p_error is not null)::integer, coalesce(s.seconds, 0),
         case when p_error is not null then jsonb_build_object(coalesce(p_code, 'internal'), 1) end, s.response_ms, coalesce(s.response_ms_sum, 0)
    from public.device_integrations i
    cross join jsonb_to_record(coalesce(p_summary, '{}')) s(seconds double precision, response_ms bigint[], response_ms_sum double precision)
   where i.id = p_integration_id;
  perform private.note_certificate(p_integration_id, p_summary -> 'certificate');
end
$$;
comment on function public.finish_session is
  'Ends a lease, keeping p_summary as last_session, and counts the session; p_code is the kind of an error. Success: due again in p_due_seconds; what the other side refused of it shows as error_message. Failure: status error with the reason, tried again in 15 s doubling to 5 min, jittered. With several slots the status is error while one of them fails, and last_session their sum.';

revoke execute on function private.is_next, private.find_due_slot, private.list_waiting_sessions, private.count_sessions, private.is_to_yield, public.lease_sessions, public.renew_session, public.park_session, public.finish_session
  from public, anon, authenticated, service_role;
