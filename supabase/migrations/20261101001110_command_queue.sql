-- Leasing commands and recording what came of them.

create function private.find_commanded(p_after uuid) returns uuid
language sql stable set search_path = ''
as $$
  select c.integration_id from public.device_commands c
   where c.integration_id > p_after and c.status in ('pending', 'sending')
   order by c.integration_id, c.organization_id
   limit 1
$$;
comment on function private.find_commanded is 'The next integration by id that has a command open.';

create function private.pick_commands(p_limit integer, p_each integer) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
  with recursive start as (select gen_random_uuid() as id),
  -- Each integration that has something open is one step along the index, from anywhere on and round.
  above as (
    select private.find_commanded(s.id) as id from start s
    union all
    select private.find_commanded(a.id) from above a where a.id is not null
  ),
  below as (
    select private.find_commanded('00000000-0000-0000-0000-000000000000') as id
    union all
    select private.find_commanded(b.id) from below b, start s where b.id <= s.id
  ),
  waiting as (
    select a.id from above a where a.id is not null
    union all
    select b.id from below b, start s where b.id <= s.id
    limit 500
  )
  select n.id
    from waiting w
    -- What a deleted integration has left behind is nobody's to send.
    join public.device_integrations i on i.id = w.id
    cross join lateral (
      select count(*) as sending from public.device_commands c
       where c.integration_id = i.id and c.organization_id = i.organization_id and c.status = 'sending' and c.due_at > now()) u
    cross join lateral (
      select c.id, c.due_at, row_number() over (order by c.due_at) as turn from public.device_commands c
       where c.integration_id = i.id and c.organization_id = i.organization_id
         and c.status in ('pending', 'sending') and c.due_at <= now() and c.expires_at > now()
       order by c.due_at
       limit greatest(0, p_each - u.sending)) n
   order by n.turn + u.sending, n.due_at
   limit p_limit);
end
$$;
comment on function private.pick_commands is
  'Up to p_limit commands that are due, no more than p_each of one integration under way: one whose broker never answers holds up no other.';

create function public.lease_commands(p_limit integer, p_lease_seconds integer, p_each integer default 16) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_picked uuid[];
  v_leased jsonb;
begin
  update public.device_commands
     set status = 'expired', lease_token = null, finished_at = now(),
         error = coalesce(error, 'It could not be sent before it expired.')
   where id = any (array(
           select c.id from public.device_commands c
            where c.status in ('pending', 'sending') and c.expires_at <= now() and c.due_at <= now()
            order by c.expires_at
            limit 1000
            for update skip locked));
  v_picked := private.pick_commands(p_limit, p_each);
  with leased as (
    update public.device_commands c
       set status = 'sending', attempts = c.attempts + 1, lease_token = gen_random_uuid(),
           due_at = now() + make_interval(secs => p_lease_seconds)
     where c.id = any (array(
             select d.id from public.device_commands d
              where d.id = any (v_picked) and d.status in ('pending', 'sending') and d.due_at <= now()
              for update skip locked))
    returning c.*
  )
  select jsonb_build_object(
    'integrations', coalesce((
      select jsonb_object_agg(i.id, to_jsonb(i))
        from private.sealed_integrations i
       where (i.organization_id, i.id) in (select l.organization_id, l.integration_id from leased l)), '{}'),
    'commands', coalesce((
      select jsonb_agg(jsonb_build_object(
               'id', l.id, 'lease_token', l.lease_token, 'integration_id', l.integration_id, 'attempts', l.attempts,
               'name', l.name, 'payload', l.payload, 'expires_at', l.expires_at, 'device', d.external_id)
             order by l.created_at)
        from leased l join public.devices d on d.organization_id = l.organization_id and d.id = l.device_id), '[]'))
    into v_leased;
  return v_leased;
end
$$;
comment on function public.lease_commands is
  'Takes due commands, fairly over integrations, with their devices and the sealed config of their integrations; those past their time expire.';

create function public.finish_commands(p_results jsonb) returns jsonb
language sql volatile set search_path = ''
as $$
  with finished as (
    update public.device_commands c
       set status = case when r.outcome = 'retry' then 'pending' else r.outcome end,
           due_at = case when r.outcome = 'retry' then now() + r.retry_seconds * interval '1 second' else c.due_at end,
           lease_token = null, reference = coalesce(r.reference, c.reference),
           result = nullif(r.result, 'null'), error = left(r.error, 2000),
           finished_at = case when r.outcome <> 'retry' then now() end
      from jsonb_to_recordset(p_results) as r(
        id uuid, lease_token uuid, outcome text, retry_seconds double precision, reference text, result jsonb,
        error text)
     where c.id = r.id and c.lease_token = r.lease_token and c.status = 'sending'
       and r.outcome in ('sent', 'confirmed', 'failed', 'retry')
    returning r.outcome
  )
  select jsonb_build_object(
    'sent', count(*) filter (where outcome in ('sent', 'confirmed')),
    'retried', count(*) filter (where outcome = 'retry'),
    'failed', count(*) filter (where outcome = 'failed'))
    from finished
$$;
comment on function public.finish_commands is 'Records what came of commands; a result whose lease was lost changes nothing.';

revoke execute on function private.find_commanded, private.pick_commands, public.lease_commands,
  public.finish_commands from public, anon, authenticated, service_role;
