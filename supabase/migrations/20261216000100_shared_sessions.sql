-- Several sessions of one integration side by side: what it reads is shared out among slots, each leased by itself.

create function private.count_slots(p_settings jsonb) returns smallint
language sql immutable parallel safe set search_path = ''
as $$
  select case when jsonb_typeof(p_settings -> 'parallel_sessions') = 'number'
           then least(16, greatest(1, (p_settings -> 'parallel_sessions')::numeric)) else 1 end::smallint
$$;
comment on function private.count_slots is 'How many slots the settings of an integration ask for, 1 to 16.';

create function private.find_slot(p_name text, p_number bigint, p_slots integer) returns integer
language sql immutable parallel safe set search_path = ''
as $$ select ((get_byte(sha256(convert_to(p_name, 'UTF8')), 0) + p_number) % p_slots)::integer $$;
comment on function private.find_slot is
  'To which of p_slots the part p_number of p_name falls, as shared/provider/shared_session.py says it too: those of one name one after the other.';

create function private.share_session(p_integration_id uuid, p_slots integer) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_kept jsonb;
begin
  -- Whoever holds one of them saves nothing more from here on.
  perform from public.integration_schedules s where s.integration_id = p_integration_id order by s.slot for update;
  select s.state - 'parts' - 'lag' into v_kept from public.integration_schedules s
   where s.integration_id = p_integration_id and s.state <> '{}' order by s.slot limit 1;
  if v_kept is null then
    -- Nothing was read yet: its first session is one, which places all.
    return;
  end if;
  with places as materialized (
    select private.find_slot(t.key, n.key::bigint, p_slots) as slot, t.key as name, n.key as number, n.value as place
      from public.integration_schedules s
      cross join lateral jsonb_each(s.state -> 'parts') t
      cross join lateral jsonb_each(t.value) n
     where s.integration_id = p_integration_id and n.key ~ '^\d{1,9}$'
       -- What one has kept of another cluster than the first counts for nothing there.
       and s.state -> 'cluster' is not distinct from v_kept -> 'cluster'
  ),
  named as (
    select p.slot, p.name, jsonb_object_agg(p.number, p.place) as numbers from places p group by 1, 2
  ),
  shares as (
    select n.slot, jsonb_object_agg(n.name, n.numbers) as parts from named n group by 1
  )
  insert into public.integration_schedules as s (integration_id, organization_id, slot, slots, state)
  select i.id, i.organization_id, g.slot, p_slots, v_kept || jsonb_build_object('parts', coalesce(h.parts, '{}'))
    from public.device_integrations i
    cross join generate_series(0, p_slots - 1) g(slot)
    left join shares h on h.slot = g.slot
   where i.id = p_integration_id
  on conflict (integration_id, slot) do update
    set slots = excluded.slots, state = excluded.state, due_at = now(), lease_token = null, attempts = 0, connected_to = null, lag = null, summary = null;
  delete from public.integration_schedules s where s.integration_id = p_integration_id and s.slot >= p_slots;
end
$$;
comment on function private.share_session is
  'Gives an integration so many slots: what all of them have kept in parts, {name: {number: anything}}, goes each to the slot to which it falls, '
  'the rest as the first one kept it to all. Whoever held one of them has lost it.';

create function private.is_failing(p_integration_id uuid, p_but smallint default null) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from public.integration_schedules s
     where s.integration_id = p_integration_id and s.slot is distinct from p_but and s.attempts > 0 and s.connected_to is null);
end
$$;
comment on function private.is_failing is 'Whether the last session of a slot has failed, and none is connected there now; p_but is one that is not asked about.';

create function private.sum_sessions(p_integration_id uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return (
    select jsonb_build_object(
             'sessions', count(*), 'started_at', min(x.started_at), 'seconds', max(x.seconds), 'connect_ms', max(x.connect_ms),
             'batches', sum(x.batches), 'messages', sum(x.messages), 'bytes', sum(x.bytes), 'duplicates', sum(x.duplicates),
             'rejected', sum(x.rejected), 'warnings', sum(x.warnings))
           || case when count(x.lag) > 0 then jsonb_build_object('lag', sum(x.lag)) else '{}' end
           || case when count(x.refused) > 0 then jsonb_build_object('refused', string_agg(distinct x.refused, ' ')) else '{}' end
      from public.integration_schedules s
      cross join lateral jsonb_to_record(s.summary) as x(
        started_at text, seconds numeric, connect_ms numeric, batches bigint, messages bigint, bytes bigint, duplicates bigint,
        rejected bigint, warnings bigint, lag bigint, refused text)
     where s.integration_id = p_integration_id and s.summary is not null
    having count(*) > 0);
end
$$;
comment on function private.sum_sessions is 'What the last sessions of all slots did together, as last_session says it, and how many they were; null where none has ended.';

revoke execute on function private.count_slots, private.find_slot, private.share_session, private.is_failing, private.sum_sessions
  from public, anon, authenticated, service_role;
