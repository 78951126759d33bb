-- Maintenance: what is past its retention is forgotten, in batches. private.retention says how long what is kept.

create function public.prune_messages(p_retention_days integer default null, p_limit integer default 20000)
returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- its plans are made while the ledger is still small
as $$
declare
  v_first date := (private.kept_from('messages', p_retention_days) at time zone 'UTC')::date;
  v_name text;
  v_dropped integer := 0;
  v_ids timestamptz := private.kept_from('event_ids');
  v_forgotten integer;
  v_is_held boolean := false;
begin
  for v_day in 0..3 loop
    perform private.make_message_partition((now() at time zone 'UTC')::date + v_day);
  end loop;
  delete from private.message_ledger
   where ctid = any (array(
     select l.ctid from private.message_ledger l
      where l.seen_at < v_ids
      limit p_limit for update skip locked));
  get diagnostics v_forgotten = row_count;
  perform private.note_pruned('event_ids', v_forgotten < p_limit);
  -- Last, for from the first that is dropped on nobody reads or writes messages until this is committed.
  for v_name in
    select c.relname from pg_catalog.pg_inherits h join pg_catalog.pg_class c on c.oid = h.inhrelid
     where h.inhparent = 'public.device_messages'::regclass
       and to_date(right(c.relname, 8), 'YYYYMMDD') < v_first
     order by 1
  loop
    v_is_held := not private.drop_message_partition(v_name);
    exit when v_is_held;
    v_dropped := v_dropped + 1;
  end loop;
  perform private.note_pruned('messages', not v_is_held);
  return jsonb_build_object('partitions_dropped', v_dropped, 'ids_forgotten', v_forgotten);
end
$$;
comment on function public.prune_messages is
  'Maintenance: makes the partitions of the next days, forgets event ids in batches, drops the partitions past retention, with the next '
  'round where somebody reads them.';

create function public.prune_history(p_retention_days integer default null, p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- as above
as $$
declare
  v_activity_from timestamptz := private.kept_from('activity', p_retention_days);
  v_metrics_from timestamptz := private.kept_from('metrics', p_retention_days);
  v_commands_from timestamptz := private.kept_from('commands', p_retention_days);
  v_provisionings_from timestamptz := private.kept_from('provisionings', p_retention_days);
  v_activity integer;
  v_metrics integer;
  v_commands integer;
  v_provisionings integer;
begin
  delete from public.integration_activity
   where ctid = any (array(
     select a.ctid from public.integration_activity a where a.created_at < v_activity_from limit p_limit for update skip locked));
  get diagnostics v_activity = row_count;
  perform private.note_pruned('activity', v_activity < p_limit);
  v_metrics := private.roll_up_metrics(v_metrics_from, p_limit);
  update public.device_commands
     set status = 'failed', lease_token = null, finished_at = now(), error = 'Its integration was deleted before it was sent.'
   where id = any (array(
     select w.id
       from (
         select q.* from private.list_command_queues() q
          where not exists (
            select from public.device_integrations i where i.id = q.integration_id and i.organization_id = q.organization_id)
         offset 0) q
       cross join lateral (
         select c.id from public.device_commands c
          where c.organization_id = q.organization_id and c.integration_id = q.integration_id and c.status in ('pending', 'sending')
          limit p_limit for update skip locked) w
      limit p_limit));
  delete from public.device_commands
   where ctid = any (array(
     select c.ctid from public.device_commands c
      where c.created_at < v_commands_from and c.finished_at < v_commands_from
      limit p_limit for update skip locked));
  get diagnostics v_commands = row_count;
  perform private.note_pruned('commands', v_commands < p_limit);
  delete from public.device_provisionings
   where ctid = any (array(
     select p.ctid from public.device_provisionings p
      where p.status = 'failed' and p.finished_at < v_provisionings_from
      limit p_limit for update skip locked));
  get diagnostics v_provisionings = row_count;
  perform private.note_pruned('provisionings', v_provisionings < p_limit);
  return jsonb_build_object(
    'activity', v_activity, 'metrics', v_metrics, 'commands', v_commands, 'provisionings', v_provisionings);
end
$$;
comment on function public.prune_history is
  'Maintenance, in batches: forgets activity, commands that have ended and provisionings that failed; rolls up metrics; ends commands whose integration was deleted. A device''s own credentials stay with it.';

create function private.sweep_deliveries(
  p_what text, p_until timestamptz, p_ended_from timestamptz, p_dead_from timestamptz, p_limit integer, p_is_anew boolean
) returns integer[]
language plpgsql volatile set search_path = '' set enable_seqscan = off -- its plans are made while the queue is still small
as $$
declare
  v_stop constant timestamptz := clock_timestamp() + interval '1 second';
  v_organizations uuid[];
  v_at timestamptz;
  v_begun timestamptz;
  v_next timestamptz;
  v_rest timestamptz;
  v_some integer;
  v_pruned integer := 0;
  v_cancelled integer := 0;
begin
  insert into private.prune_marks (what) values (p_what) on conflict do nothing;
  select case when s.is_anew then '-infinity' else s.swept_to end, case when s.is_anew then now() else s.swept_at end
    into v_at, v_begun
    from (
      select m.swept_to, m.swept_at, p_is_anew or m.swept_at < now() - interval '1 day' as is_anew
        from private.prune_marks m where m.what = p_what for update skip locked) s;
  if not found then
    -- Somebody else is at it.
    return array[0, 0];
  end if;
  -- Organization by organization, along an index that each has its place in: by age alone a BRIN index says little once pages are
  -- used again, and a B-tree would have to be written with every delivery.
  with recursive o (id) as (
    (select d.organization_id from public.webhook_deliveries d order by d.organization_id limit 1)
    union all
    select (
      select d.organization_id from public.webhook_deliveries d where d.organization_id > o.id order by d.organization_id limit 1)
      from o where o.id is not null
  )
  select array_agg(o.id) into v_organizations from o where o.id is not null;
  while v_at < p_until and v_pruned + v_cancelled < p_limit and clock_timestamp() < v_stop loop
    -- What is older than all that is kept may be as much as it will; of the rest a day at a time.
    v_next := case v_at when '-infinity' then least(p_dead_from, p_until) else least(v_at + interval '1 day', p_until) end;
    delete from public.webhook_deliveries
     where ctid = any (array(
       select w.ctid from unnest(v_organizations) o(id) cross join lateral (
         select d.ctid from public.webhook_deliveries d
          where d.organization_id = o.id and d.created_at >= v_at and d.created_at < v_next
            and d.created_at < case d.status when 'dead' then p_dead_from else p_ended_from end
            and d.status in ('delivered', 'cancelled', 'dead')
          order by d.created_at limit p_limit for update skip locked) w
        limit p_limit - v_pruned));
    get diagnostics v_some = row_count;
    v_pruned := v_pruned + v_some;
    if p_what = 'dead_deliveries' then
      -- Locked here: one that was leased meanwhile stays.
      v_cancelled := v_cancelled + private.end_as_cancelled(array(
        select w.id from unnest(v_organizations) o(id) cross join lateral (
          select d.id from public.webhook_deliveries d
           where d.organization_id = o.id and d.created_at >= v_at and d.created_at < v_next and d.status = 'pending'
           order by d.created_at limit p_limit for update skip locked) w
         limit p_limit));
    end if;
    -- What somebody holds, what was cancelled only now and what is too much goes with the next round, which begins with it.
    if v_rest is null and exists (
      select from unnest(v_organizations) o(id) cross join lateral (
        select from public.webhook_deliveries d
         where d.organization_id = o.id and d.created_at >= v_at and d.created_at < v_next
           and d.created_at < case d.status
             when 'dead' then p_dead_from when 'pending' then case p_what when 'dead_deliveries' then p_dead_from end else p_ended_from
           end
           and d.status in ('delivered', 'cancelled', 'dead', 'pending')
         order by d.created_at limit 1) w)
    then
      v_rest := v_at;
    end if;
    v_at := v_next;
  end loop;
  update private.prune_marks set swept_to = coalesce(v_rest, v_at), swept_at = v_begun where what = p_what;
  perform private.note_pruned(p_what, v_at >= p_until and v_pruned + v_cancelled < p_limit);
  return array[v_pruned, v_cancelled];
end
$$;
comment on function private.sweep_deliveries is
  'Forgets deliveries that have ended, from where the last sweep came to until then, and cancels those that waited as long as dead ones are kept; how many of each. '
  'Once a day from the beginning, for what ended late.';

create function public.prune_deliveries(
  p_retention_days integer default null, p_dead_days integer default null, p_limit integer default 5000
) returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms' set enable_seqscan = off -- its plans are made while the queue is still small
as $$
declare
  v_ended_from timestamptz := private.kept_from('deliveries', p_retention_days);
  v_dead_from timestamptz := private.kept_from('dead_deliveries', p_dead_days);
  v_alerts_from timestamptz := private.kept_from('alerts', p_dead_days);
  v_is_anew constant boolean := p_retention_days is not null or p_dead_days is not null;
  v_swept integer[];
  v_pruned integer;
  v_cancelled integer;
  v_orphaned integer;
  v_resolved integer;
begin
  v_swept := private.sweep_deliveries('deliveries', v_ended_from, v_ended_from, v_dead_from, p_limit, v_is_anew);
  v_pruned := v_swept[1];
  -- After it, so that what is only cancelled now is seen for a round.
  v_swept := private.sweep_deliveries('dead_deliveries', v_dead_from, v_ended_from, v_dead_from, p_limit, v_is_anew);
  v_pruned := v_pruned + v_swept[1];
  v_cancelled := v_swept[2];
  v_orphaned := private.end_as_cancelled(array(
    select w.id
      from (
        select o.id as organization_id, q.integration_id
          from unnest(private.list_line('{}')) o(id)
          cross join unnest(private.list_queues(array[o.id], 1000)) q(integration_id)
         where not exists (
           select from public.device_integrations i where i.id = q.integration_id and i.organization_id = o.id)
        -- First whose webhook is gone: of the others nothing is read.
        offset 0) g
      cross join lateral (
        select d.id from public.webhook_deliveries d
         where d.organization_id = g.organization_id and d.integration_id = g.integration_id and d.stage is not null
         limit p_limit for update skip locked) w
     limit p_limit));
  delete from private.delivery_turns
   where organization_id = any (array(
     select t.organization_id from private.delivery_turns t where t.served_at < now() - interval '1 day' for update skip locked));
  delete from public.alerts
   where ctid = any (array(
     select a.ctid from public.alerts a where a.resolved_at < v_alerts_from order by a.resolved_at limit p_limit for update skip locked));
  get diagnostics v_resolved = row_count;
  perform private.note_pruned('alerts', v_resolved < p_limit);
  return jsonb_build_object('deliveries_pruned', v_pruned, 'deliveries_cancelled', v_cancelled + v_orphaned, 'alerts_pruned', v_resolved);
end
$$;
comment on function public.prune_deliveries is
  'Maintenance, in batches: forgets deliveries that have ended, dead ones as long as their messages are kept to be replayed; cancels what waited that long or '
  'whose webhook was deleted; forgets alerts that were resolved long ago.';

revoke execute on function public.prune_messages, public.prune_history, private.sweep_deliveries, public.prune_deliveries
  from public, anon, authenticated, service_role;
