-- Leasing deliveries and taking their results, fenced by a token.
--
-- Both are done for many organizations at once. Where a statement of one of them holds its rows (a deletion takes seconds), the others
-- don't wait for it: what takes too long is done once more without who is in the way.

create function private.lease_picked(p_picked uuid[], p_lease_seconds integer) returns json
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan set lock_timeout = '100ms'
as $$
declare
  v_token uuid := gen_random_uuid();
  v_leased json;
begin
  with leased as (
    update public.webhook_deliveries d
       set status = 'delivering', attempts = d.attempts + 1, lease_token = v_token,
           tried_at = case when d.recipient is not null then private.choose_start(d) end,
           due_at = now() + make_interval(secs => p_lease_seconds)
     where d.id = any (p_picked) and d.status = 'pending'
    returning d.*, case when d.recipient is not null then d end as delivery
  ),
  served as (
    update public.webhook_endpoints e set leased_at = clock_timestamp()
     where e.integration_id = any (array(select distinct l.integration_id from leased l))
  )
  select json_build_object(
    'integrations', private.show_integrations(array(select distinct l.integration_id from leased l)),
    'deliveries', coalesce((
      select json_agg(s)
        from (
          -- Rows, not built objects: Postgres puts each on a line of its own, so that where one can't be read, the others can.
          select l.id, l.lease_token, l.integration_id, l.organization_id, l.attempts, l.payload_bytes, l.event_type,
                 coalesce(m.kind, case when l.event_type like 'alert.%' then 'alert' else 'event' end) as kind,
                 m.topic, m.metadata ->> 'traceparent' as traceparent, coalesce(m.payload, e.payload) as payload, coalesce(m.observed_at, e.created_at) as observed_at,
                 json_build_object(
                   'integration_id', coalesce(m.integration_id, e.integration_id), 'integration_type', o.integration_type, 'name', o.name) as source,
                 case when coalesce(v.external_id, m.external_id) is not null then
                   json_build_object('id', v.id, 'external_id', coalesce(v.external_id, m.external_id), 'name', v.name) end as device,
                 case when l.recipient is not null then private.describe_notice(l.delivery, e.payload) end as notice
            from leased l
            -- By the key alone, and then whose it is: by organization the planner would read all that it has for each.
            left join lateral (
              select * from public.device_messages n where n.id = l.message_id and n.received_at = l.message_received_at offset 0) m
              on m.organization_id = l.organization_id
            left join lateral (
              select * from public.integration_events n where m.id is null and n.id = l.message_id offset 0) e
              on e.organization_id = l.organization_id
            left join lateral (
              select * from public.device_integrations n where n.id = coalesce(m.integration_id, e.integration_id) offset 0) o
              on o.organization_id = l.organization_id
            left join lateral (select * from public.devices n where n.id = coalesce(m.device_id, e.device_id) offset 0) v
              on v.organization_id = l.organization_id
           order by l.created_at, l.id) s), '[]'))
    into v_leased;
  return v_leased;
end
$$;
comment on function private.lease_picked is 'Leases these deliveries, where they are pending still; 55P03 where somebody holds one of them.';

create function public.lease_deliveries(
  p_limit integer, p_lease_seconds integer, p_bytes integer default 8388608, p_shares jsonb default '{}'
) returns json
language plpgsql volatile set search_path = ''
as $$
declare
  v_picked uuid[] := private.gather_notices(private.pick_turns(p_limit, p_bytes, p_shares));
begin
  if v_picked = '{}' then
    return '{"integrations": {}, "deliveries": []}';
  end if;
  return private.lease_picked(v_picked, p_lease_seconds);
exception when lock_not_available then
  return private.lease_picked(array(
    select d.id from public.webhook_deliveries d where d.id = any (v_picked) for no key update skip locked), p_lease_seconds);
end
$$;
comment on function public.lease_deliveries is
  'Takes due deliveries, fairly over organizations and then over webhooks and within each one''s rate, concurrency and circuit, with their '
  'messages and the sealed config of their webhooks. Together these have about p_bytes, or are one. p_shares says how many more of each '
  'organization there are places for.';

create function private.find_gaps(p_missing jsonb) returns jsonb
language plpgsql immutable strict parallel safe set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_object_agg(c.path, c.events), '{}')
      from (
        select e.path, count(*) as events from jsonb_array_elements(p_missing) m(paths) cross join jsonb_array_elements_text(m.paths) e(path)
         group by 1 having count(*) = jsonb_array_length(p_missing)) c);
end
$$;
comment on function private.find_gaps is 'Of lists of paths, each what one event did not have, those that are in all of them: {path: events}.';

create function private.finish_together(p_results jsonb) returns jsonb
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan set lock_timeout = '100ms'
as $$
declare
  v_counts jsonb;
  v_tally jsonb;
  v_people jsonb;
begin
  with results as (
    select r.* from jsonb_to_recordset(p_results) as r(
      id uuid, lease_token uuid, outcome text, retry_seconds double precision, started_at timestamptz,
      milliseconds integer, status_code integer, error text, reply text, reference text, certificate double precision[], missing jsonb)
  ),
  finished as (
    update public.webhook_deliveries d
       set status = case when r.outcome in ('retry', 'unsent') then 'pending' else r.outcome end,
           reference = coalesce(r.reference, d.reference),
           report = case when d.report = 'again' and r.reference is not null then null else d.report end,
           due_at = case r.outcome when 'retry' then now() + r.retry_seconds * interval '1 second' when 'unsent' then now() else d.due_at end,
           attempts = d.attempts - (r.outcome = 'unsent')::integer,
           lease_token = null
      from results r
     where d.id = r.id and d.lease_token = r.lease_token and d.status = 'delivering'
       and r.outcome in ('delivered', 'retry', 'dead', 'unsent')
    returning d.id, d.integration_id, d.organization_id, d.attempts, d.replayed_at is not null as replayed, d.recipient, r.outcome, r.started_at, r.milliseconds, r.status_code,
      r.error, r.reply, r.certificate, r.missing, d.status,
      case when r.outcome in ('retry', 'dead') then coalesce('http_' || r.status_code, substring(r.error from '^[a-z_]{1,40}(?=:)'), 'internal') end as kind
  ),
  recorded as (
    insert into public.webhook_attempts
      (delivery_id, organization_id, attempt, started_at, milliseconds, status_code, error, reply)
    select f.id, f.organization_id, f.attempts, f.started_at, f.milliseconds, f.status_code, f.error, f.reply
      from finished f
     where f.outcome <> 'unsent'
  ),
  tally as (
    select f.integration_id,
           count(*) filter (where f.outcome = 'delivered') as delivered,
           count(*) filter (where f.outcome <> 'unsent') as heard,
           -- What only one recipient is refused for says nothing of the endpoint.
           count(*) filter (where f.outcome in ('retry', 'dead') and not f.replayed and (f.recipient is null or f.error is null or f.error not like 'recipient\_%')) as failed,
           coalesce(bool_or(f.status_code = 410), false) as gone,
           max(f.error) filter (where f.outcome = 'unsent') as unusable,
           max(coalesce(f.error, f.status_code::text)) filter (where f.outcome in ('retry', 'dead')) as last,
           max(f.certificate) as certificate,
           -- Of each event once, however often it is tried.
           private.find_gaps(jsonb_agg(f.missing) filter (where f.missing is not null and f.attempts = 1)) as gaps
      from finished f
     group by f.integration_id
  ),
  sent as (
    insert into private.webhook_sends as s (integration_id, second, sent)
    select t.integration_id, date_trunc('second', now()), t.heard
      from tally t
      join lateral (select n.integration_id from public.webhook_endpoints n where n.integration_id = t.integration_id offset 0) e on true
     where t.heard > 0
     order by t.integration_id
    on conflict (integration_id, second) do update set sent = s.sent + excluded.sent
  ),
  kinds as (
    select k.integration_id, jsonb_object_agg(k.kind, k.n) as errors
      from (select f.integration_id, f.kind, count(*) as n from finished f where f.kind is not null group by 1, 2) k
     group by 1
  ),
  tallied as (
    insert into private.metric_tallies (
      integration_id, organization_id, minute, deliveries, attempts, dead, answers, errors, response_ms, response_ms_sum)
    select f.integration_id, f.organization_id, date_trunc('minute', now()), count(*) filter (where f.status = 'delivered'),
           count(*), count(*) filter (where f.status = 'dead'),
           -- By what was answered; what another protocol than HTTP has taken has no status.
           array[count(*) filter (where f.class = 0), count(*) filter (where f.class = 1), count(*) filter (where f.class = 2),
                 count(*) filter (where f.class = 3), count(*) filter (where f.class = 4)],
           (select k.errors from kinds k where k.integration_id = f.integration_id),
           array[count(*) filter (where f.bucket = 0), count(*) filter (where f.bucket = 1), count(*) filter (where f.bucket = 2),
                 count(*) filter (where f.bucket = 3), count(*) filter (where f.bucket = 4), count(*) filter (where f.bucket = 5),
                 count(*) filter (where f.bucket = 6), count(*) filter (where f.bucket = 7), count(*) filter (where f.bucket = 8),
                 count(*) filter (where f.bucket = 9), count(*) filter (where f.bucket = 10), count(*) filter (where f.bucket = 11),
                 count(*) filter (where f.bucket = 12), count(*) filter (where f.bucket = 13), count(*) filter (where f.bucket = 14)],
           sum(f.milliseconds)
      from (
        select t.integration_id, t.organization_id, t.status, t.milliseconds,
               -- As private.bucket_ms does; a call for each would cost more than all else of this.
               width_bucket(t.milliseconds - 0.0001, array[5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000]::double precision[]) as bucket,
               case when t.status_code between 200 and 599 then t.status_code / 100 - 1 else (t.status = 'delivered')::integer end as class
          from finished t
         where t.outcome <> 'unsent' offset 0) f
     group by f.integration_id, f.organization_id
  )
  select jsonb_build_object(
           'delivered', count(*) filter (where f.outcome = 'delivered'),
           'retried', count(*) filter (where f.outcome = 'retry'),
           'dead', count(*) filter (where f.outcome = 'dead'),
           'unsent', count(*) filter (where f.outcome = 'unsent'),
           'late', (select count(*) from results) - count(*)),
         (select jsonb_agg(to_jsonb(t)) from tally t),
         jsonb_agg(jsonb_build_object(
           'integration_id', f.integration_id, 'recipient', f.recipient, 'outcome', f.outcome, 'error', f.error))
           filter (where f.recipient is not null and f.outcome <> 'unsent')
    into v_counts, v_tally, v_people
    from finished f;
  perform private.judge_endpoints(v_tally);
  if v_people is not null then
    perform private.note_people(v_people);
  end if;
  return v_counts;
end
$$;
comment on function private.finish_together is 'What finish_deliveries does; 55P03 where somebody holds one of the deliveries, or what their endpoints are judged by.';

create function public.finish_deliveries(p_results jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_of_one record;
  v_told jsonb[] := '{}';
  v_busy jsonb := '[]';
begin
  begin
    return private.finish_together(p_results);
  exception when lock_not_available then
    null;
  end;
  for v_of_one in
    select jsonb_agg(r.result) as results, jsonb_agg(r.result -> 'id') as ids
      from jsonb_array_elements(p_results) r(result)
      left join public.webhook_deliveries d on d.id = (r.result ->> 'id')::uuid
     group by d.organization_id
     order by d.organization_id
  loop
    begin
      v_told := v_told || private.finish_together(v_of_one.results);
    exception when lock_not_available then
      v_busy := v_busy || v_of_one.ids;
    end;
  end loop;
  return (
    select coalesce(jsonb_object_agg(c.name, c.counted), '{}') || jsonb_build_object('busy', v_busy)
      from (select e.key as name, sum(e.value::integer) as counted from unnest(v_told) t cross join jsonb_each_text(t) e group by 1) c);
end
$$;
comment on function public.finish_deliveries is
  'Records a batch of attempts, moves their deliveries on and judges their endpoints. Outcomes: delivered, retry, dead, and unsent where the webhook itself can''t be used (no attempt is counted). A result whose lease was lost is counted as late and changes nothing. busy are the ids of those that could not be recorded, for a statement of their own organization holds their rows: send them again.';

revoke execute on function private.lease_picked, public.lease_deliveries, private.find_gaps, private.finish_together, public.finish_deliveries from public, anon, authenticated,
  service_role;
