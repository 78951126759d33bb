-- What messages tell beside what is stored of them: facts of their devices, and what became of commands.

create function private.list_gateways(p_facts jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  -- Members may write anything into a device's metadata.
  select case when jsonb_typeof(p_facts -> 'gateways') = 'array' then p_facts -> 'gateways' else '[]' end
$$;
comment on function private.list_gateways is 'The gateways among facts; none where there is something else.';

create function private.merge_facts(p_known jsonb, p_facts jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select case when jsonb_typeof(p_known) = 'object' then p_known else '{}' end || p_facts
    || case when p_facts ? 'gateways' then jsonb_build_object('gateways', (
         select jsonb_agg(k.gateway order by k.gateway collate "C")
           from (
             -- Those that heard it now come first, the others as far as there is room.
             select g.gateway
               from (
                 select n.gateway, 0 as place from jsonb_array_elements_text(private.list_gateways(p_facts)) n(gateway)
                 union all
                 select o.gateway, 1 from jsonb_array_elements_text(private.list_gateways(p_known)) o(gateway)) g
              group by g.gateway
              order by min(g.place), g.gateway collate "C"
              limit 50) k))
       else '{}' end
$$;
comment on function private.merge_facts is 'What is known of a device with what is told now; of gateways those from before stay, up to 50.';

create function private.heed_facts(p_integration_id uuid, p_external_id text, p_facts jsonb) returns void
language sql volatile set search_path = ''
as $$
  update public.devices d
     set metadata = d.metadata || jsonb_build_object('lorawan', private.merge_facts(d.metadata -> 'lorawan', p_facts))
   -- Of the row itself, which is looked at again where somebody else has written it meanwhile.
   where d.integration_id = p_integration_id and d.external_id = p_external_id
     and private.merge_facts(d.metadata -> 'lorawan', p_facts) is distinct from d.metadata -> 'lorawan'
     -- Where people have filled it, there is no room.
     and private.is_portable(
       d.metadata || jsonb_build_object('lorawan', private.merge_facts(d.metadata -> 'lorawan', p_facts)), 65536)
$$;
comment on function private.heed_facts is 'Keeps what is told of a device under metadata.lorawan; what is the same already is written no more.';

create function private.find_reported(p_organization_id uuid, p_integration_id uuid, p_external_id text, p_told jsonb)
returns public.device_commands
language sql volatile set search_path = ''
as $$
  select c.*
    from public.device_commands c
   where c.id = coalesce(
           (p_told ->> 'id')::uuid,
           (select k.id from public.devices d join public.device_commands k on k.device_id = d.id
             where d.integration_id = p_integration_id and d.external_id = p_external_id and k.reference = p_told ->> 'reference'
             order by k.created_at desc limit 1))
     and c.organization_id = p_organization_id and c.integration_id = p_integration_id
     and c.device_id = (select d.id from public.devices d where d.integration_id = p_integration_id and d.external_id = p_external_id limit 1)
     for no key update
$$;
comment on function private.find_reported is 'The command of the device that something is told of, by its id or by the other side''s name for it; locked.';

create function private.move_command(p_command public.device_commands, p_told jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_stage text := p_told ->> 'stage';
  v_places text[] := array['queued', 'sent', 'acknowledged'];
  v_status text;
begin
  -- What the device has acknowledged stays so; what failed may still be acknowledged, for servers try again.
  if p_command.status = 'confirmed'
     or v_stage <> 'acknowledged' and p_command.status in ('failed', 'expired')
     or array_position(v_places, v_stage) <= array_position(v_places, p_command.result ->> 'stage') then
    return;
  end if;
  v_status := case v_stage when 'acknowledged' then 'confirmed' when 'failed' then 'failed' when 'expired' then 'expired' else 'sent' end;
  update public.device_commands
     set status = v_status, lease_token = null, finished_at = now(),
         error = case when v_status in ('failed', 'expired') then left(p_told ->> 'error', 2000) end,
         result = jsonb_build_object('stage', v_stage, 'at', now())
   where id = p_command.id;
  if p_command.status in ('pending', 'sending') and v_status in ('sent', 'confirmed') then
    insert into private.metric_tallies (integration_id, organization_id, minute, commands)
    values (p_command.integration_id, p_command.organization_id, date_trunc('minute', now()), 1);
  end if;
end
$$;
comment on function private.move_command is 'A command as far as it has come by what is told of it: {stage, error}. What comes late or twice changes nothing.';

create function private.heed_command(p_organization_id uuid, p_integration_id uuid, p_external_id text, p_told jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_command public.device_commands := private.find_reported(p_organization_id, p_integration_id, p_external_id, p_told);
begin
  if v_command.id is null and p_told ->> 'id' is null then
    perform private.keep_early(p_organization_id, p_integration_id, p_external_id, p_told);
    -- It waits for whoever records the answer just now, after which the reference is known.
    v_command := private.find_reported(p_organization_id, p_integration_id, p_external_id, p_told);
  end if;
  if v_command.id is not null then
    perform private.move_command(v_command, p_told);
  end if;
end
$$;
comment on function private.heed_command is
  'What the other side says of a command that it keeps for its device: {stage, id or reference, error}. It may come before the answer to the call that sent it: by an id, what that says then changes nothing; by a reference, it is heeded once that answer is recorded.';

create function private.read_gone(p_metadata jsonb) returns timestamptz
language plpgsql stable set search_path = ''
as $$
begin
  return case when p_metadata #>> '{presence,status}' = 'offline' then (p_metadata #>> '{presence,at}')::timestamptz end;
exception when data_exception then
  -- Members may write anything into a device's metadata.
  return null;
end
$$;
comment on function private.read_gone is 'When a device has gone, as the other side saw it; null where it came last, or nobody says.';

create function private.heed_presence(p_integration_id uuid, p_external_id text, p_presence jsonb) returns void
language sql volatile set search_path = ''
as $$
  update public.devices d
     set status = case when t.status = 'offline' and d.last_seen_at > t.at then d.status else t.status end,
         last_seen_at = case when t.status = 'online' then greatest(d.last_seen_at, t.at) else d.last_seen_at end,
         metadata = d.metadata || jsonb_build_object('presence', t.told)
    from (
      select p.status, p.at, p_presence || jsonb_build_object('at', p.at) as told
        from (
          -- No later than now, as what devices say: else what they say next would count as older.
          select p_presence ->> 'status' as status, least(coalesce((p_presence ->> 'at')::timestamptz, now()), now()) as at) p) t
   -- Of the row itself, as for facts.
   where d.integration_id = p_integration_id and d.external_id = p_external_id
     and (p_presence ->> 'order') collate "C" > coalesce(d.metadata #>> '{presence,order}', '') collate "C"
     and private.is_portable(d.metadata || jsonb_build_object('presence', t.told), 65536)
$$;
comment on function private.heed_presence is
  'That the other side saw a device come or go, {status, order, at}: what is older than what is known changes nothing, nor does a going that is older than what the device has said.';

create function private.heed_reports(p_organization_id uuid, p_integration_id uuid, p_reports jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_told record;
begin
  for v_told in select r.device, r.report -> 'facts' as facts, r.report -> 'command' as command,
                         r.report -> 'presence' as presence
                  from jsonb_to_recordset(p_reports) as r(device text, report jsonb)
  loop
    if v_told.facts <> 'null' then
      perform private.heed_facts(p_integration_id, v_told.device, v_told.facts);
    end if;
    if v_told.presence <> 'null' then
      perform private.heed_presence(p_integration_id, v_told.device, v_told.presence);
    end if;
    if v_told.command <> 'null' then
      perform private.heed_command(p_organization_id, p_integration_id, v_told.device, v_told.command);
    end if;
  end loop;
end
$$;
comment on function private.heed_reports is '[{device, report: {facts?, command?, presence?}}], by devices in their order, so that two batches never wait for each other.';

revoke execute on function private.list_gateways, private.merge_facts, private.heed_facts, private.read_gone, private.heed_presence, private.find_reported,
  private.move_command, private.heed_command, private.heed_reports
  from public, anon, authenticated, service_role;
