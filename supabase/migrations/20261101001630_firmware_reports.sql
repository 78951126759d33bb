-- What devices are heard to make of their updates, each thing once however often and in whatever order it is heard.

create function private.read_reports(p_rollout_id uuid, p_reports jsonb) returns table (
  device text, package text, rollout_id uuid, to_version text, from_version text, state text, event text, message text,
  at timestamptz, listed boolean
)
language sql stable set search_path = ''
as $$
  select r.device, r.package, case when r.ours then p_rollout_id end, r.to_version, nullif(r.from_version, r.to_version),
         r.state, r.event, r.message, r.at, coalesce(r.listed, false)
    from jsonb_to_recordset(p_reports) as r(
      device text, package text, ours boolean, to_version text, from_version text, state text, event text, message text,
      at timestamptz, listed boolean)
$$;
comment on function private.read_reports is 'Reports of a rollout as rows; what was not started by it has no rollout_id.';

create function private.tells_same(p_event jsonb, p_said jsonb) returns boolean
language sql immutable set search_path = ''
as $$
  select coalesce(
    p_event ? 'event' and p_event ->> 'state' = p_said ->> 'state' and (p_event ? 'message' or not p_said ? 'message'), false)
$$;
comment on function private.tells_same is 'Whether an event tells what a device said of itself, with no fewer words.';

create function private.order_steps(p_steps jsonb[]) returns jsonb
language sql immutable set search_path = ''
as $$
  with ranked as (
    select s.step, s.step ->> 'at' as at, s.step ? 'message' as tells_why,
           array_position(array['pending', 'downloading', 'failed', 'downloaded', 'updated'], s.step ->> 'state') as rank
      from unnest(p_steps) as s(step)
  ),
  ordered as (
    select r.*, lag(r.step) over moments as before, lead(r.step) over moments as after
      from ranked r
    window moments as (order by r.at, r.rank, r.tells_why)
  ),
  last as (
    select o.step, o.at, o.rank, o.tells_why
      from ordered o
     where o.step ? 'event'
        or not (private.tells_same(o.before, o.step) or private.tells_same(o.after, o.step))
     order by o.at desc, o.rank desc, o.tells_why desc
     limit 50
  )
  select coalesce(jsonb_agg(l.step order by l.at, l.rank, l.tells_why), '[]') from last l
$$;
comment on function private.order_steps is
  'The last 50, in their order; of two at the same moment the one that is further comes last. What a device says of itself is no step beside the event that tells the same.';

create function private.add_steps(p_rollout public.firmware_rollouts, p_reports jsonb) returns void
language sql volatile set search_path = ''
as $$
  with heard as (
    select u.id, r.from_version, r.event, r.at, r.listed, d.id as device_id,
           case when r.state <> 'idle' then r.state when r.event is null and u.state = 'downloaded' then 'pending' end as state,
           coalesce(r.message, case when r.event is null and r.state = 'idle' then 'It is idle again with its old version.' end) as message,
           u.state as known_state, u.at as known_at
      from private.read_reports(p_rollout.id, p_reports) r
      join public.firmware_updates u
        on u.integration_id = p_rollout.integration_id and u.organization_id = p_rollout.organization_id
       and u.external_id = r.device and u.package = r.package
       and u.to_version = r.to_version and u.rollout_id is not distinct from r.rollout_id
      left join lateral (
        select e.id from public.devices e
         where e.integration_id = p_rollout.integration_id and e.external_id = r.device limit 1) d on true
  ),
  steps as (
    select u.id, s.step from public.firmware_updates u, jsonb_array_elements(u.steps) as s(step)
     where u.id in (select h.id from heard h)
    union
    select h.id, private.make_step(h.at, h.state, h.event, h.message) from heard h
     where h.event is not null or (h.state <> h.known_state and h.at >= h.known_at)
  ),
  joined as (
    select s.id, private.order_steps(array_agg(s.step)) as steps from steps s group by s.id
  ),
  known as (
    select h.id, max(h.from_version) as from_version, bool_or(h.listed) as listed,
           (array_agg(h.device_id))[1] as device_id, coalesce((array_agg(j.steps))[1], '[]') as steps
      from heard h left join joined j on j.id = h.id
     group by h.id
  ),
  updated as (
    update public.firmware_updates u
       set steps = k.steps,
           state = coalesce(last.step ->> 'state', u.state),
           message = case when last.step is null then u.message else last.step ->> 'message' end,
           at = coalesce((last.step ->> 'at')::timestamptz, u.at),
           from_version = coalesce(u.from_version, k.from_version),
           device_id = coalesce(k.device_id, u.device_id),
           listed_at = case when k.listed then now() else u.listed_at end
      from known k
      left join lateral (
        select s.step from jsonb_array_elements(k.steps) with ordinality as s(step, number)
         where s.step ? 'state' order by s.number desc limit 1) last on true
     where u.id = k.id
       and (u.steps <> k.steps or u.device_id is distinct from k.device_id
            or (k.listed and u.state in ('pending', 'downloading', 'downloaded'))
            or (u.from_version is null and k.from_version is not null))
    returning u.organization_id, u.device_id, u.package, u.state, u.to_version, u.steps
  )
  update public.devices d
     set firmware_version = u.to_version
    from updated u
   where u.device_id = d.id and u.organization_id = d.organization_id and u.package = 'main' and u.state = 'updated' and d.firmware_version is distinct from u.to_version
$$;
comment on function private.add_steps is 'The steps of the history, and what the device runs where its main package was updated.';

create function public.record_firmware(p_rollout_id uuid, p_reports jsonb, p_state jsonb default null) returns timestamptz
language plpgsql volatile set search_path = ''
as $$
declare
  v_rollout public.firmware_rollouts;
begin
  perform private.bound_state('state', p_state);
  update public.firmware_rollouts set state = coalesce(p_state, state) where id = p_rollout_id returning * into v_rollout;
  if not found then
    raise exception 'There is no such rollout any more.' using errcode = 'PT404';
  end if;
  insert into public.firmware_updates (
    organization_id, integration_id, external_id, device_id, rollout_id, package, to_version, at)
  select distinct on (r.device, r.package, r.rollout_id, r.to_version)
         v_rollout.organization_id, v_rollout.integration_id, r.device, d.id, r.rollout_id, r.package, r.to_version,
         case when r.rollout_id is null then r.at else v_rollout.started_at end
    from private.read_reports(p_rollout_id, p_reports) r
    left join lateral (
      select e.id from public.devices e
       where e.integration_id = v_rollout.integration_id and e.external_id = r.device limit 1) d on true
   order by r.device, r.package, r.rollout_id, r.to_version, r.at
  on conflict do nothing;
  perform private.add_steps(v_rollout, p_reports);
  return now();
end
$$;
comment on function public.record_firmware is
  'Adds what was heard of a rollout to the history of its devices, and with it, where given, from where to read on; the time. '
  'Reports: {device, package, ours, to_version, from_version, state, event, message, at, listed}. '
  'An event is a step of the history; without one it is what the device says of itself, a step where it differs from what is known. '
  'State idle tells nothing, but for a device that had downloaded and is back at its old version.';

revoke execute on function private.read_reports, private.tells_same, private.order_steps, private.add_steps,
  public.record_firmware from public, anon, authenticated, service_role;
