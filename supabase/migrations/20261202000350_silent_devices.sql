-- Devices that fall silent are offline, where nothing else says so of them; and what becomes of those whose integration is deleted.

create index devices_silent on public.devices (integration_id, organization_id, silent_since) where silent_since is not null;

create function private.describe_presence(p_device public.devices, p_status text, p_silent_since timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'status', p_status, 'reason', 'silence', 'last_seen_at', p_device.last_seen_at, 'silent_since', p_silent_since,
    'device_id', p_device.id, 'external_id', p_device.external_id, 'name', p_device.name)
$$;
comment on function private.describe_presence is 'What subscribers are told of a device that fell silent, or came back.';

create function private.end_silence() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  -- A copy that a broker kept, which comes with every new session, is no sign of life.
  if new.last_seen_at is not distinct from old.last_seen_at then
    new.status := 'offline';
    return new;
  end if;
  new.silent_since := null;
  perform private.queue_event(
    new.organization_id, new.integration_id, 'device.online', private.describe_presence(new, 'online', old.silent_since), new.id);
  return new;
end
$$;
comment on function private.end_silence is 'A device that had fallen silent is heard of again.';
create trigger end_silence before update of status on public.devices
  for each row when (old.silent_since is not null and new.status = 'online') execute function private.end_silence();

create function private.doubt_status() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.status := 'unknown';
  new.silent_since := null;
  return new;
end
$$;
comment on function private.doubt_status is 'Of a device whose integration is deleted nobody says any more whether it is there.';
create trigger doubt_status before update of integration_id on public.devices
  for each row when (old.integration_id is not null and new.integration_id is null) execute function private.doubt_status();

create function private.take_over() returns trigger
language plpgsql security definer set search_path = '' set enable_seqscan = off -- its plans are made while the tables are still small
as $$
declare
  v_made uuid[];
  v_left uuid[];
begin
  if not exists (select from made) then
    return null;
  end if;
  select array_agg(t.id), array_agg(t.left_id) into v_made, v_left
    from (
      select m.id, l.id as left_id
        -- Of what is met with its messages, as ingest makes it; a sync matches devices by itself, and people say which they mean.
        from (select * from made where integration_id is not null and name = external_id and last_seen_at is not null order by external_id) m
        cross join lateral (
          select d.id from public.devices d
           where d.integration_id is null and d.organization_id = m.organization_id and d.external_id = m.external_id
           order by d.last_seen_at desc nulls last, d.id limit 1
             for update skip locked) l) t;
  if v_made is null then
    return null;
  end if;
  -- The messages of this statement speak of the new rows: they, and what those were heard of, go to the ones that were there.
  update public.device_messages m set device_id = t.left_id from unnest(v_made, v_left) t(id, left_id) where m.device_id = t.id;
  update public.webhook_deliveries w set ordering_key = t.left_id
    from unnest(v_made, v_left) t(id, left_id) join made n on n.id = t.id
   where w.organization_id = n.organization_id and w.ordering_key = t.id and w.stage is not null;
  delete from public.devices d where d.id = any (v_made);
  update public.devices d
     set integration_id = n.integration_id, status = n.status, last_seen_at = greatest(d.last_seen_at, n.last_seen_at)
    from unnest(v_made, v_left) t(id, left_id) join made n on n.id = t.id
   where d.id = t.left_id;
  return null;
end
$$;
comment on function private.take_over is
  'Devices that are met under an integration, and are known from one that was deleted, are those again, with their names and histories.';
create trigger take_over after insert on public.devices
  referencing new table as made for each statement
  when (current_setting('app.syncing', true) is distinct from 'on' and auth.uid() is null)
  execute function private.take_over();

create function private.sweep_devices(
  p_organization_id uuid, p_integration_id uuid, p_settings jsonb, p_is_on boolean, p_most integer
) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_after interval := private.read_seconds(p_settings, 'offline_after_seconds', 3600);
  v_looked_at constant integer := 5000;
  v_state public.integration_states;
  v_seen record;
  v_device public.devices;
  v_work integer := 0;
  v_last text;
begin
  select * into v_state from public.integration_states t where t.integration_id = p_integration_id;
  if v_after = interval '0'
     -- A twentieth of the time is how late it may be noticed.
     or v_state.swept_to is null and v_state.swept_at > now() - greatest(v_after / 20, interval '10 seconds') then
    return 0;
  end if;
  for v_device in
    select d.* from public.devices d
     where d.id = any (array(
       select s.id
         from (
           select n.id, n.status, n.last_seen_at from public.devices n
            where n.integration_id = p_integration_id and n.organization_id = p_organization_id
              and n.external_id > coalesce(v_state.swept_to, '')
            order by n.external_id limit v_looked_at) s
        where s.status = 'online' and s.last_seen_at < now() - v_after))
       and d.status = 'online' and d.last_seen_at < now() - v_after
       -- Whose provider lists its devices has a word of its own, unless somebody says after how long here.
       and (not p_is_on or p_settings ? 'offline_after_seconds' or not exists (select from public.device_links l where l.device_id = d.id))
     order by d.external_id
       for update skip locked
  loop
    -- Where many webhooks ask for it, the rest is of the next round: no transaction queues without end.
    exit when v_work >= p_most;
    if p_is_on then
      update public.devices d set status = 'offline', silent_since = d.last_seen_at where d.id = v_device.id;
      v_work := v_work + private.queue_event(
        p_organization_id, p_integration_id, 'device.offline',
        private.describe_presence(v_device, 'offline', v_device.last_seen_at), v_device.id);
    else
      update public.devices d set status = 'unknown' where d.id = v_device.id;
    end if;
    v_work := v_work + 1;
    v_last := v_device.external_id;
  end loop;
  select max(s.external_id) as last, count(*) as n into v_seen
    from (
      select n.external_id from public.devices n
       where n.integration_id = p_integration_id and n.organization_id = p_organization_id
         and n.external_id > coalesce(v_state.swept_to, '')
       order by n.external_id limit v_looked_at) s;
  update public.integration_states t
     set swept_at = now(), swept_to = case when v_work >= p_most then v_last when v_seen.n = v_looked_at then v_seen.last end
   where t.integration_id = p_integration_id;
  return v_work;
end
$$;
comment on function private.sweep_devices is
  'Takes devices that have not been heard of for offline_after_seconds for offline, 5,000 looked at a call; how many devices it marked '
  'and events it queued, which end it at p_most. 0 seconds: none ever. '
  'Of an integration that is off they are unknown, for nobody listens.';

revoke execute on function private.describe_presence, private.end_silence, private.doubt_status, private.take_over, private.sweep_devices
  from public, anon, authenticated, service_role;
