-- Leasing commands and recording what came of them.

create function private.list_command_queues() returns table (organization_id uuid, integration_id uuid)
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
  -- From each integration to the next, organization by organization, one step along the index whatever waits behind it.
  with recursive queues as (
    (select c.organization_id, c.integration_id from public.device_commands c
      where c.status in ('pending', 'sending')
      order by c.organization_id, c.integration_id
      limit 1)
    union all
    select n.* from queues q cross join lateral (
      select c.organization_id, c.integration_id from public.device_commands c
       where c.status in ('pending', 'sending') and (c.organization_id, c.integration_id) > (q.organization_id, q.integration_id)
       order by c.organization_id, c.integration_id
       limit 1) n
  )
  select q.organization_id, q.integration_id from queues q;
end
$$;
comment on function private.list_command_queues is 'The integrations that commands wait for, or are under way of.';

create function private.list_waiting_commands(p_most integer, p_each integer) returns private.waiting[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
  with queues as materialized (select q.* from private.list_command_queues() q)
  select (w.id, w.organization_id, w.integration_id, w.due_at)::private.waiting
    from queues q
    -- What a deleted integration or an organization that has ended has left behind is nobody's to send.
    join lateral (select n.organization_id from public.device_integrations n where n.id = q.integration_id offset 0) i
      on i.organization_id = q.organization_id
         and not exists (select from private.ended_organizations e where e.organization_id = q.organization_id)
         -- Its other side has asked for no more for a while.
         and not exists (
           select from private.rate_limits r where r.subject = q.integration_id and r.budget = 'commands_held' and r.full_at > now())
    cross join lateral (
      select c.id, c.organization_id, c.integration_id, c.due_at from public.device_commands c
       where c.organization_id = q.organization_id and c.integration_id = q.integration_id
         and c.status in ('pending', 'sending') and c.due_at <= now() and c.expires_at > now()
       order by c.due_at
       limit (select least(p_each, 1 + 4 * p_most / greatest(1, count(*))) from queues)) w);
end
$$;
comment on function private.list_waiting_commands is 'What is due of each integration, the longest first: no more than p_each, and the fewer the more they are.';

create function private.count_commands() returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(h.id, h.n), '{}')
    from (
      select coalesce(s.integration_id, s.organization_id) as id, count(*) as n
        from public.device_commands s
       where s.status = 'sending' and s.due_at > now()
       group by grouping sets ((s.integration_id), (s.organization_id))) h
$$;
comment on function private.count_commands is 'How many commands are under way, of each organization and of each integration.';

create function private.expire_commands() returns void
language sql volatile set search_path = ''
as $$
  update public.device_commands
     set status = 'expired', lease_token = null, finished_at = now(),
         error = coalesce(error, 'It could not be sent before it expired.')
   where id = any (array(
           select c.id from public.device_commands c
            where c.status in ('pending', 'sending') and c.expires_at <= now() and c.due_at <= now()
            order by c.expires_at
            limit 1000
            for update skip locked))
$$;
comment on function private.expire_commands is 'Ends what is past its time and not under way, a thousand at once.';

create function public.lease_commands(
  p_limit integer, p_lease_seconds integer, p_each integer default 16, p_shares jsonb default '{}', p_bytes integer default 8388608
) returns json
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_picked uuid[];
  v_leased json;
begin
  perform private.expire_commands();
  v_picked := private.take_turns(
    private.list_waiting_commands(p_limit, p_each), private.count_commands(), p_each, p_shares, 2 * p_limit);
  with locked as (
    select c.id, p.n, octet_length(c.payload::text) + private.count_bytes(i.settings, i.sealed_sent, i.sealed_kept) as bytes
      from unnest(v_picked) with ordinality p(id, n)
      -- Said so that it is looked up by its id: an index of what is open would be read as a whole, once planned while nothing was.
      join public.device_commands c
        on c.id = p.id and (c.status is not distinct from 'pending' or c.status is not distinct from 'sending') and c.due_at <= now()
      join private.sealed_integrations i on i.id = c.integration_id and i.organization_id = c.organization_id
     order by p.n
     limit p_limit
     for no key update of c skip locked
  ),
  leased as (
    update public.device_commands c
       set status = 'sending', attempts = c.attempts + 1, lease_token = gen_random_uuid(),
           due_at = now() + make_interval(secs => p_lease_seconds)
      from (select l.id, sum(l.bytes) over (order by l.n) - l.bytes < p_bytes as fits from locked l) f
     where f.id = c.id and f.fits
    returning c.*
  )
  select json_build_object(
    'integrations', private.show_integrations(array(select distinct l.integration_id from leased l)),
    'commands', coalesce((
      select json_agg(s order by s.created_at)
        from (
          select l.id, l.lease_token, l.organization_id, l.integration_id, l.attempts, l.name, l.payload, l.expires_at, d.external_id as device, l.created_at,
                 jsonb_path_query_array(d.metadata, '$.lorawan.codec_names[0 to 9]') as codec_names
            from leased l
            join lateral (select * from public.devices n where n.id = l.device_id offset 0) d on d.organization_id = l.organization_id) s), '[]'))
    into v_leased;
  return v_leased;
end
$$;
comment on function public.lease_commands is
  'Takes due commands, fairly over organizations and then over integrations, no more than p_each of one integration under way, with '
  'their devices and the sealed config of their integrations; those past their time expire. Together they have about p_bytes, or are one.';

create function public.finish_commands(p_results jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_counts jsonb;
  v_foretold uuid[];
  v_shown jsonb;
begin
  with results as materialized (
    select r.* from jsonb_to_recordset(p_results) as r(
      id uuid, lease_token uuid, outcome text, retry_seconds double precision, reference text, result jsonb, error text,
      code text, milliseconds double precision, hold_seconds double precision, certificate jsonb)
  ),
  sending as materialized (
    -- Here and below looked up by the id alone: any other way the plan may read all that wait, made while nothing did.
    select c.id from results r
      join lateral (select n.id, n.lease_token, n.status from public.device_commands n where n.id = r.id offset 0) c
        on c.lease_token = r.lease_token and c.status = 'sending'
  ),
  held as materialized (
    -- A deletion takes seconds, and results of others wait with these.
    select c.id from public.device_commands c where c.id = any (array(select s.id from sending s)) for no key update skip locked
  ),
  finished as (
    update public.device_commands c
       set status = case when r.outcome = 'retry' then 'pending' else r.outcome end,
           due_at = case when r.outcome = 'retry' then now() + r.retry_seconds * interval '1 second' else c.due_at end,
           lease_token = null, reference = coalesce(r.reference, c.reference),
           result = coalesce(nullif(r.result, 'null'), c.result), error = left(r.error, 2000),
           finished_at = case when r.outcome <> 'retry' then now() end
      from results r
     where c.id = r.id and c.lease_token = r.lease_token and c.status is not distinct from 'sending' and c.id = any (array(select h.id from held h))
       and r.outcome in ('sent', 'confirmed', 'failed', 'retry')
    returning c.id, r.outcome, c.integration_id, c.organization_id, r.code, r.milliseconds, r.hold_seconds, r.certificate,
              -- As of the row that was locked: what is told from now on finds the reference.
              c.finished_at is not null and c.early_reports <> '{}' as is_foretold
  ),
  held_back as (
    insert into private.rate_limits as l (subject, budget, full_at)
    select f.integration_id, 'commands_held', now() + max(f.hold_seconds) * interval '1 second'
      from finished f where f.hold_seconds > 0 group by 1 order by 1
    on conflict (subject, budget) do update set full_at = greatest(l.full_at, excluded.full_at)
  ),
  kinds as (
    select k.integration_id, jsonb_object_agg(k.code, k.n) as errors
      from (select f.integration_id, f.code, count(*) as n from finished f where f.code is not null group by 1, 2) k
     group by 1
  ),
  tallied as (
    insert into private.metric_tallies (integration_id, organization_id, minute, commands, errors, response_ms, response_ms_sum)
    select f.integration_id, f.organization_id, date_trunc('minute', now()), count(*) filter (where f.outcome in ('sent', 'confirmed')),
           (select k.errors from kinds k where k.integration_id = f.integration_id),
           private.count_places(array_agg(private.bucket_ms(f.milliseconds)) filter (where f.milliseconds is not null), 15),
           coalesce(sum(f.milliseconds), 0)
      from finished f
     group by f.integration_id, f.organization_id
  )
  select jsonb_build_object(
    'sent', count(*) filter (where outcome in ('sent', 'confirmed')),
    'retried', count(*) filter (where outcome = 'retry'),
    'failed', count(*) filter (where outcome = 'failed'),
    'busy', (select coalesce(jsonb_agg(s.id), '[]') from sending s where s.id not in (select h.id from held h))),
         array_agg(id) filter (where is_foretold), jsonb_object_agg(integration_id, certificate) filter (where certificate <> 'null')
    into v_counts, v_foretold, v_shown
    from finished;
  if v_foretold is not null then
    perform private.heed_early(v_foretold);
  end if;
  perform private.note_certificate(s.key::uuid, s.value) from (select e.* from jsonb_each(v_shown) e order by e.key) s;
  return v_counts;
end
$$;
comment on function public.finish_commands is
  'Records what came of commands, and heeds what was told of them before their references were known; a result whose lease was lost changes nothing. busy are the ids of those that somebody holds just now: send them again. hold_seconds holds back all of its integration.';

revoke execute on function private.list_command_queues, private.list_waiting_commands, private.count_commands, private.expire_commands, public.lease_commands,
  public.finish_commands from public, anon, authenticated, service_role;
