-- Updates and rollouts that end before their time, and what is counted of them.

create function private.make_step(p_at timestamptz, p_state text, p_event text, p_message text) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'at', to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'state', p_state, 'event', p_event,
    'message', p_message))
$$;
comment on function private.make_step is 'The same however the session writes its times, so that what is heard twice is equal.';

create function private.end_updates(p_rollout_id uuid, p_message text, p_listed_before timestamptz default 'infinity') returns void
language sql volatile set search_path = ''
as $$
  update public.firmware_updates
     set state = 'failed', message = p_message, at = now(),
         steps = steps || private.make_step(now(), 'failed', null, p_message)
   where rollout_id = p_rollout_id and state in ('pending', 'downloading', 'downloaded')
     and coalesce(listed_at, created_at) < p_listed_before
$$;
comment on function private.end_updates is 'What is still on its way in a rollout has failed, and why; only devices not listed since p_listed_before where given.';

create function private.abandon_updates() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.end_updates(old.id, 'The integration was deleted, so nobody follows this update any more.');
  return null;
end
$$;
comment on function private.abandon_updates is 'The history outlives a rollout, but does not say that it still runs.';
create trigger abandon_updates after delete on public.firmware_rollouts
  for each row when (old.status in ('starting', 'running')) execute function private.abandon_updates();

create function private.log_rollout(p_rollout public.firmware_rollouts, p_kind text, p_level text, p_message text) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  values (
    p_rollout.organization_id, p_rollout.integration_id, p_kind, p_level,
    left(format('Rollout %s: %s', p_rollout.name, p_message), 2000),
    jsonb_strip_nulls(jsonb_build_object('rollout_id', p_rollout.id, 'user_id', (select auth.uid()))))
$$;
comment on function private.log_rollout is 'An entry of the activity about a rollout.';

create function private.count_rollout(p_rollout_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'devices', count(*),
    'failed', count(*) filter (where d.rank = 1),
    'pending', count(*) filter (where d.rank = 2),
    'downloading', count(*) filter (where d.rank = 3),
    'downloaded', count(*) filter (where d.rank = 4),
    'updated', count(*) filter (where d.rank = 5))
    from (
      select min(array_position(array['failed', 'pending', 'downloading', 'downloaded', 'updated'], u.state)) as rank
        from public.firmware_updates u
       where u.rollout_id = p_rollout_id
       group by u.external_id) d
$$;
comment on function private.count_rollout is
  'Devices by state; one with several packages counts as failed where one has failed, else by the one that is least far.';

create function private.end_rollout(p_rollout public.firmware_rollouts, p_status text, p_message text) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.firmware_rollouts
     set status = p_status, finished_at = now(), error = left(p_message, 2000)
   where id = p_rollout.id;
  perform private.end_updates(p_rollout.id, format('The rollout %s before this device was updated.',
                                                   case p_status when 'cancelled' then 'was cancelled' else 'failed' end));
  update public.firmware_rollouts set counts = private.count_rollout(id) where id = p_rollout.id;
  perform private.log_rollout(
    p_rollout, 'rollout.' || p_status, case p_status when 'failed' then 'error' else 'info' end, p_message);
end
$$;
comment on function private.end_rollout is 'Ends a rollout before its time: failed or cancelled.';

revoke execute on function private.make_step, private.end_updates, private.abandon_updates, private.log_rollout,
  private.count_rollout, private.end_rollout from public, anon, authenticated, service_role;
