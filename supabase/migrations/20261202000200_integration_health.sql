-- Health: how each integration is doing, worked out from what happened whenever it is asked for, so that it can't disagree with it.

create table public.integration_states (
  integration_id uuid primary key,
  organization_id uuid not null,
  state text not null default 'waiting' check (state in ('waiting', 'healthy', 'degraded', 'failing', 'silent', 'off')),
  since timestamptz not null default now(),
  judged_at timestamptz not null default 'epoch',
  swept_at timestamptz not null default 'epoch',
  swept_to text,
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 70);
comment on table public.integration_states is 'Since when each integration has been in the state that it was last found in, and when it was looked at.';
comment on column public.integration_states.judged_at is 'When judge_integrations last looked at it.';
comment on column public.integration_states.swept_at is 'When its devices were last looked through for silent ones.';
comment on column public.integration_states.swept_to is 'The external id up to which they are looked through; null between two times.';
create index integration_states_line on public.integration_states (judged_at);
create index integration_states_integration on public.integration_states (organization_id, integration_id);

alter table public.integration_states enable row level security;
create policy "Members see the states" on public.integration_states
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.begin_state() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into public.integration_states (integration_id, organization_id, since) values (new.id, new.organization_id, new.created_at)
  on conflict do nothing;
  return null;
end
$$;
comment on function private.begin_state is 'A new integration is waiting, and looked at with the next round.';
create trigger begin_state after insert on public.device_integrations
  for each row execute function private.begin_state();
insert into public.integration_states (integration_id, organization_id, since)
select i.id, i.organization_id, i.created_at from public.device_integrations i;

create function private.read_seconds(p_settings jsonb, p_name text, p_default integer) returns interval
language sql immutable parallel safe set search_path = ''
as $$
  select make_interval(secs => case
    when jsonb_typeof(p_settings -> p_name) = 'number' then least(greatest((p_settings ->> p_name)::numeric, 0), 31536000)::double precision
    else p_default end)
$$;
comment on function private.read_seconds is 'A time of settings; whatever was written past the API, it raises nothing.';

create function private.say_interval(p_interval interval) returns text
language sql immutable parallel safe set search_path = ''
as $$
  select case
    when p_interval < interval '2 minutes' then greatest(0, extract(epoch from p_interval)::integer) || ' seconds'
    when p_interval < interval '2 hours' then (extract(epoch from p_interval) / 60)::integer || ' minutes'
    when p_interval < interval '2 days' then (extract(epoch from p_interval) / 3600)::integer || ' hours'
    else (extract(epoch from p_interval) / 86400)::integer || ' days'
  end
$$;
comment on function private.say_interval is 'About how long, in words.';

create function private.describe_silence(p_last_at timestamptz, p_silent_after interval) returns text
language plpgsql stable set search_path = ''
as $$
begin
  if p_silent_after > interval '0' and p_last_at < now() - p_silent_after then
    return 'Nothing has come for ' || private.say_interval(now() - p_last_at)
      || ', where something came before: see whether the devices, or what sends for them, still run.';
  end if;
  return null;
end
$$;
comment on function private.describe_silence is 'What is said of an integration of which nothing has come for too long; null where something has, or never did.';

create type private.queue as (pending bigint, due_at timestamptz, dead bigint, died boolean);
comment on type private.queue is 'What waits to be delivered and since when it is due, what is dead, and whether some of it died within the last hour.';

create function private.count_queue(p_organization_id uuid, p_integration_id uuid) returns private.queue
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select (w.pending + (u.since is not null)::integer, least(o.due_at, u.since), d.dead, d.died)::private.queue
      from (select private.find_unspread(p_organization_id, p_integration_id) as since) u
      cross join (
        select count(*) as pending
          from (select from public.webhook_deliveries d
                 where d.organization_id = p_organization_id and d.integration_id = p_integration_id and d.stage is not null limit 10000) p) w
      cross join (
        -- Of each stage the first of the index: what is late may wait behind any number that are not.
        select min(p.due_at) as due_at
          from unnest('{0,1,2,3,4}'::smallint[]) s(stage)
          cross join lateral (
            select d.due_at from public.webhook_deliveries d
             where d.organization_id = p_organization_id and d.integration_id = p_integration_id and d.stage = s.stage
             order by d.due_at limit 1) p) o
      cross join (
        select count(*) as dead, coalesce(max(p.due_at) > now() - interval '1 hour', false) as died
          from (select d.due_at from public.webhook_deliveries d
                 where d.integration_id = p_integration_id and d.organization_id = p_organization_id and d.status = 'dead'
                 order by d.due_at desc limit 10000) p) d);
end
$$;
comment on function private.count_queue is 'The queue of a webhook, counted up to ten thousand: how much is beyond changes nothing of its health. due_at is the earliest of all. What is still to be queued is one more, due since it came.';

create function private.share_undecoded(p_organization_id uuid, p_integration_id uuid) returns numeric
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select sum(m.failed) / nullif(sum(m.stored + m.failed), 0) from public.integration_metrics m
     where m.integration_id = p_integration_id and m.organization_id = p_organization_id and m.minute > now() - interval '1 hour');
end
$$;
comment on function private.share_undecoded is 'Which share of the messages of the last hour could not be decoded.';

create function private.share_failed(p_organization_id uuid, p_integration_id uuid) returns numeric
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select sum(m.attempts - m.deliveries) / nullif(sum(m.attempts), 0) from public.integration_metrics m
     where m.integration_id = p_integration_id and m.organization_id = p_organization_id and m.minute > now() - interval '1 hour');
end
$$;
comment on function private.share_failed is 'Which share of the attempts of the last hour to deliver something failed, as far as they are summed up.';

create function private.list_gaps(p_gaps jsonb) returns text[]
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select coalesce(array_agg(g.key order by g.key), '{}') from jsonb_each_text(p_gaps) g
     where g.value::bigint >= (select k.threshold from private.alert_kinds k where k.kind = 'template.unmatched'));
end
$$;
comment on function private.list_gaps is 'The paths of a payload_template that have led nowhere in so many events that somebody should look.';

create view public.integration_health with (security_invoker = true) as
select i.id as integration_id, i.organization_id, i.name, i.integration_type, s.state,
       case s.state
         when 'off' then coalesce(i.error_message, 'It is switched off.')
         when 'failing' then case
           when i.status = 'error' then coalesce(i.error_message, 'It fails.')
           when c.seen_at is null then 'Nobody looks for what is due: no tick and no worker has ever run. Start a worker, or call the scheduler every minute.'
           else 'Nobody has looked for what is due for ' || private.say_interval(now() - c.seen_at) || ': no tick and no worker has run, or this part of it stands still. Start a worker, or see why the scheduler is not called.'
         end
         when 'degraded' then concat_ws(' ',
           i.error_message,
           case when m.undecoded > 0.05 then format(
             '%s %% of the messages of the last hour could not be decoded: compare the payload settings with what devices send.', round(m.undecoded * 100)) end,
           case when m.failed > 0.05 then format(
             '%s %% of the attempts of the last hour failed: see what was answered to them, and whether the endpoint is slow or refuses some events.', round(m.failed * 100)) end,
           case when (m.q).died then 'Deliveries have ended as dead letters within the last hour: see the attempts of a dead delivery, mend what they say, and replay them.' end,
           case when (m.q).due_at < now() - interval '5 minutes' then
             'What waits to be delivered has been due for ' || private.say_interval(now() - (m.q).due_at) || ': the endpoint is slower than what comes in, or its rate limit is too low.' end,
           case when cardinality(g.gaps) > 0 then format(
             'payload_template names what the last events did not have (%s): compare it with what devices send.', array_to_string(g.gaps, ', ')) end,
           case when o.failures >= 3 then format('%s attempts in a row failed. The last: %s', o.failures, o.last_error) end,
           m.silence)
         when 'silent' then m.silence
         when 'waiting' then case
           when i.settings ? 'events' then 'Nothing has been delivered yet: no event that it asks for has come since it was made.'
           when c.seen_at is null or c.seen_at < now() - interval '4 minutes' then 'Nothing has come yet, and no tick and no worker looks for it: start a worker, or call the scheduler every minute.'
           else 'Nothing has come yet: check that devices send, and that the topics or the address they send to are those of this integration.'
         end
         else 'All is well.'
       end as reason,
       case when t.state = s.state then t.since else coalesce(
         case s.state
           when 'off' then i.updated_at when 'waiting' then i.created_at when 'silent' then n.last_at + f.silent_after
           when 'failing' then case when i.status = 'error' then coalesce(n.failed_at, o.failed_at) else c.seen_at end when 'degraded' then coalesce(o.failed_at, n.undecoded_at)
           else greatest(n.last_at, o.last_at) end, i.updated_at) end as since,
       n.last_at as last_message_at, o.last_at as last_delivered_at,
       greatest(n.last_at, o.last_at, i.last_sync_at) as last_success_at,
       greatest(n.failed_at, n.undecoded_at, o.failed_at) as last_error_at,
       coalesce(i.error_message, o.last_error) as last_error,
       greatest(n.failures, o.failures, 0) as consecutive_failures,
       coalesce((m.q).pending, 0) as pending, coalesce((m.q).dead, 0) as dead, (m.q).due_at as oldest_due_at,
       (select count(*) from public.alerts a
         where a.integration_id = i.id and a.organization_id = i.organization_id and a.resolved_at is null) as open_alerts,
       case when n.day > 0 then private.sum_day(n.hours, n.hour, n.day) else 0 end as messages_24h,
       case when not i.settings ? 'events' then private.sum_lag(i.id) end as lag
  from public.device_integrations i
  -- One by one, by its id, and then whose it is: joined, those of everybody might be read.
  left join lateral (select * from public.integration_facts x where x.integration_id = i.id and x.direction = 'in' offset 0) n
    on n.organization_id = i.organization_id
  left join lateral (select * from public.integration_facts x where x.integration_id = i.id and x.direction = 'out' offset 0) o
    on o.organization_id = i.organization_id
  left join lateral (select * from public.integration_states x where x.integration_id = i.id offset 0) t
    on t.organization_id = i.organization_id
  -- Of the part that does its work: others may go on while one stands still.
  cross join lateral (
    select case when i.settings ? 'events' then (select private.scheduler_seen_at('deliveries'))
                else (select private.scheduler_seen_at('sessions')) end as seen_at) c
  cross join lateral (
    select case when i.settings ? 'silent_after_seconds' then private.read_seconds(i.settings, 'silent_after_seconds', 3600)
                else interval '1 hour' end as silent_after) f
  cross join lateral (select case when o.gaps <> '{}' then private.list_gaps(o.gaps) end as gaps) g
  -- Looked at only of what may have some, and once: without the offset the planner would write each out wherever it is named.
  cross join lateral (
    select case when i.settings ? 'events' then private.count_queue(i.organization_id, i.id) end as q,
           case when n.undecoded_at > now() - interval '1 hour' then private.share_undecoded(i.organization_id, i.id) end as undecoded,
           case when o.failed_at > now() - interval '1 hour' then private.share_failed(i.organization_id, i.id) end as failed,
           private.describe_silence(n.last_at, f.silent_after) as silence
    offset 0) m
  cross join lateral (
    select case
      when i.status = 'inactive' then 'off'
      when i.status = 'error' then 'failing'
      when (c.seen_at is null or c.seen_at < now() - interval '4 minutes') and i.created_at < now() - interval '4 minutes'
           and (i.settings ? 'events' or i.last_session is not null) then 'failing'
      when m.undecoded > 0.05 or m.failed > 0.05 or (m.q).died or (m.q).due_at < now() - interval '5 minutes' or o.failures >= 3 or i.error_message is not null
           or cardinality(g.gaps) > 0
        then 'degraded'
      when m.silence is not null then 'silent'
      when n.last_at is null and o.last_at is null then 'waiting'
      else 'healthy'
    end as state offset 0) s;
comment on view public.integration_health is
  'How each integration is doing, since when and why; for whoever may see the integration. pending and dead are counted up to 10,000.';

revoke all on public.integration_states, public.integration_health from public, anon, authenticated, service_role;
revoke execute on function private.begin_state, private.read_seconds, private.say_interval, private.list_gaps,
  private.describe_silence, private.count_queue, private.share_undecoded, private.share_failed from public, anon, authenticated, service_role;
