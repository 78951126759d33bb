-- Alerts by condition: each integration is judged once a minute, each in a guard of its own, those first that were not for longest.

create function private.weigh_alert(
  p_organization_id uuid, p_integration_id uuid, p_kind text, p_level text, p_is_met boolean, p_message text, p_details jsonb
) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_rows integer;
begin
  if p_is_met then
    insert into public.alerts (organization_id, integration_id, kind, level, message, details)
    select p_organization_id, p_integration_id, p_kind, coalesce(p_level, k.level), left(p_message, 2000), coalesce(p_details, '{}')
      from private.alert_kinds k where k.kind = p_kind
    on conflict do nothing;
    get diagnostics v_rows = row_count;
    if v_rows > 0 and p_integration_id is not null then
      insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
      select p_organization_id, p_integration_id, p_kind, coalesce(p_level, k.level), left(p_message, 2000), coalesce(p_details, '{}')
        from private.alert_kinds k where k.kind = p_kind;
    end if;
    return v_rows;
  end if;
  with resolved as (
    update public.alerts a set resolved_at = now()
      from private.alert_kinds k
     where a.organization_id is not distinct from p_organization_id and a.integration_id is not distinct from p_integration_id
       and a.kind = p_kind and a.resolved_at is null and k.kind = a.kind and (k.lasts is null or a.updated_at < now() - k.lasts)
    returning a.organization_id, a.integration_id, a.kind
  )
  insert into public.integration_activity (organization_id, integration_id, kind, message, details)
  select r.organization_id, r.integration_id, 'alert.resolved', format('%s is over.', r.kind), jsonb_build_object('kinds', jsonb_build_array(r.kind))
    from resolved r where r.integration_id is not null;
  get diagnostics v_rows = row_count;
  return -v_rows;
end
$$;
comment on function private.weigh_alert is 'Raises an alert that is met, updates it while it is, and resolves it where it is not: 1 where it was raised, -1 where resolved.';

create function private.count_dead(p_organization_id uuid, p_integration_id uuid) returns bigint
language sql stable set search_path = ''
as $$
  select count(*) from (
    select from public.webhook_deliveries d
     where d.integration_id = p_integration_id and d.organization_id = p_organization_id and d.status = 'dead'
       and d.due_at > now() - interval '1 hour'
       -- Else two webhooks that are both dead would tell each other of it for ever.
       and d.event_type not like 'alert.%' limit 10000) d
$$;
comment on function private.count_dead is 'The dead letters of a webhook within the last hour, alerts left out.';

create function private.measure_rate(p_organization_id uuid, p_integration_id uuid, p_settings jsonb) returns numeric
language sql stable security definer set search_path = ''
as $$
  select greatest(
    (select extract(epoch from r.full_at - now()) / 60 from private.rate_limits r where r.subject = p_integration_id and r.budget = 'receive'),
    case when p_settings ? 'events' then (
      select sum(s.sent)::numeric / private.read_bound(p_settings, 'rate_limit_per_minute', 100, 10000000)
        from private.webhook_sends s where s.integration_id = p_integration_id and s.second > now() - interval '61 seconds')
    end, 0)
$$;
comment on function private.measure_rate is 'Which share of its rate limit an integration uses: of what is pushed to it, or of what goes out.';

create function private.describe_silent(p_organization_id uuid, p_integration_id uuid, p_offline_after interval) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
           'devices', count(*), 'examples', coalesce(jsonb_agg(s.external_id order by s.place) filter (where s.place <= 20), '[]'))
    from (
      select d.external_id, row_number() over (order by d.silent_since desc) as place from public.devices d
       where d.integration_id = p_integration_id and d.organization_id = p_organization_id
         and d.silent_since > now() - interval '7 days' - p_offline_after
       limit 1000) s
$$;
comment on function private.describe_silent is 'How many devices were taken for silent within a week, p_offline_after they were last heard of, and have not come back, with the external ids of 20.';

create function private.list_refused(p_refused jsonb) returns text
language sql stable set search_path = ''
as $$
  select format(' (%s)', string_agg(r.key, ', ' order by r.key))
    from jsonb_each(p_refused) r join private.alert_kinds k on k.kind = 'authentication.failed' and (r.value ->> 'times')::integer >= k.threshold
  having count(*) > 0
$$;
comment on function private.list_refused is 'Which kinds of calls an alert of refused credentials is about, in brackets; null where it is about deliveries.';

create function private.judge_integration(p_organization_id uuid, p_integration_id uuid) returns integer[]
language plpgsql volatile set search_path = ''
as $$
declare
  v_health public.integration_health;
  v_settings jsonb;
  v_out public.integration_facts;
  v_in public.integration_facts;
  v_silence text;
  v_silent jsonb;
  v_gaps text[];
  v_is_refused boolean;
  v_is_on boolean;
  v_kind record;
  v_change integer;
  v_counts integer[] := array[0, 0];
begin
  select * into v_health from public.integration_health h
   where h.integration_id = p_integration_id and h.organization_id = p_organization_id;
  if not found then
    return v_counts;
  end if;
  update public.integration_states t set state = v_health.state, since = v_health.since
   where t.integration_id = p_integration_id and t.state <> v_health.state;
  v_is_on := v_health.state <> 'off';
  v_settings := (select i.settings from public.device_integrations i where i.id = p_integration_id);
  select * into v_in from public.integration_facts f where f.integration_id = p_integration_id and f.direction = 'in';
  select * into v_out from public.integration_facts f where f.integration_id = p_integration_id and f.direction = 'out';
  -- Of two other sides the one whose certificate ends first.
  if v_in.certificate_ends <= coalesce(v_out.certificate_ends, 'infinity') then
    v_out.certificate_begins := v_in.certificate_begins;
    v_out.certificate_ends := v_in.certificate_ends;
  end if;
  v_silence := private.describe_silence(v_in.last_at, private.read_seconds(v_settings, 'silent_after_seconds', 3600));
  v_silent := private.describe_silent(
    p_organization_id, p_integration_id, private.read_seconds(v_settings, 'offline_after_seconds', 3600));
  v_gaps := private.list_gaps(v_out.gaps);
  v_is_refused := v_out.failures > 0 and v_out.last_error ~ '^tls_error:.*certificate';
  for v_kind in
    select c.*
      from (
        select k.kind, v_is_on and coalesce(case k.kind
                 when 'integration.silent' then v_silence is not null
                 when 'authentication.failed' then greatest(v_in.refusals, v_out.refusals) >= k.threshold
                 -- What a receiver's config is wrong in shows in the same place.
                 when 'subscription.refused' then v_health.state <> 'failing' and not v_settings ? 'events' and v_health.last_error is not null
                   and not exists (
                     select from public.alerts a
                      where a.organization_id = p_organization_id and a.integration_id = p_integration_id and a.kind = 'config.invalid'
                        and a.resolved_at is null)
                 when 'rate_limit.reached' then private.measure_rate(p_organization_id, p_integration_id, v_settings) >= k.threshold
                 when 'certificate.endpoint' then v_is_refused or v_out.certificate_ends - now() < least(
                   -- Of one that lives short, which a program renews, only the last third.
                   interval '30 days', (v_out.certificate_ends - v_out.certificate_begins) / 3)
                 when 'template.unmatched' then cardinality(v_gaps) > 0
                 when 'delivery.dead' then v_health.dead > 0 and private.count_dead(p_organization_id, p_integration_id) >= k.threshold
                 when 'delivery.late' then v_health.oldest_due_at < now() - k.threshold * interval '1 second'
                 when 'messages.undecodable' then v_in.undecoded_at > now() - interval '1 hour'
                   and private.share_undecoded(p_organization_id, p_integration_id) > k.threshold
                 when 'devices.silent' then (v_silent ->> 'devices')::integer >= k.threshold
               end, false) as is_met
          from private.alert_kinds k
         where k.is_judged and k.kind not in ('quota.reached', 'keys.due', 'partitions.behind', 'retention.behind')) c
     where c.is_met or exists (
       select from public.alerts a
        where a.organization_id = p_organization_id and a.integration_id = p_integration_id and a.kind = c.kind and a.resolved_at is null)
  loop
    v_change := private.weigh_alert(
      p_organization_id, p_integration_id, v_kind.kind,
      case
        when v_kind.kind = 'rate_limit.reached' and private.measure_rate(p_organization_id, p_integration_id, v_settings) >= 1
          or v_kind.kind = 'certificate.endpoint' and (v_is_refused or v_out.certificate_ends < now() + interval '1 day') then 'error'
      end,
      v_kind.is_met,
      case v_kind.kind
        when 'authentication.failed' then format(
          'The credentials were refused %s times in a row%s. Enter new ones, or have these allowed at the other side.',
          greatest(v_in.refusals, v_out.refusals), private.list_refused(v_in.refused))
        when 'integration.silent' then v_silence
        when 'subscription.refused' then v_health.last_error
        when 'rate_limit.reached' then 'It uses 80 % or more of the requests that it may have a minute: what is more is refused, or waits. Send fewer, larger requests, or have the limit raised.'
        when 'certificate.endpoint' then case
          when v_is_refused then 'The certificate of the endpoint is refused: have it renewed there. ' || v_out.last_error
          else format('The certificate of the endpoint ends on %s: have it renewed there before.', to_char(v_out.certificate_ends at time zone 'UTC', 'YYYY-MM-DD'))
        end
        when 'delivery.dead' then 'Deliveries ended as dead letters within the last hour. See the attempts of one, mend what they say, and replay them.'
        when 'delivery.late' then 'What waits to be delivered is late by minutes: the endpoint is slower than what comes in, or its rate limit is too low.'
        when 'messages.undecodable' then 'More than 5 % of the messages of the last hour could not be decoded. Compare the payload settings with what devices send; what failed can be replayed.'
        when 'devices.silent' then format('%s devices have fallen silent. See whether they have power and a network.', v_silent ->> 'devices')
        else v_health.reason
      end,
      case v_kind.kind when 'devices.silent' then v_silent when 'delivery.dead' then jsonb_build_object('dead', v_health.dead)
        when 'template.unmatched' then jsonb_build_object('paths', v_gaps) else '{}' end);
    v_counts := array[v_counts[1] + greatest(v_change, 0), v_counts[2] + greatest(-v_change, 0)];
  end loop;
  return v_counts;
end
$$;
comment on function private.judge_integration is 'Weighs each alert that one integration may have; how many were raised and resolved. Of one that is off all are over.';

revoke execute on function private.weigh_alert, private.count_dead, private.measure_rate, private.describe_silent, private.list_refused, private.judge_integration from public, anon, authenticated, service_role;
