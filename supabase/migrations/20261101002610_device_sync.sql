-- Devices kept in step with a provider that manages devices itself. The device owns its state, which is taken as it comes;
-- the platform owns name and tags, which are compared three ways with what was last in step, and never silently overwritten.

alter table public.devices add column edited_at timestamptz not null default now();
comment on column public.devices.edited_at is 'When somebody here last changed its name or tags; a sync does not count.';

create function private.touch_edited_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.edited_at := clock_timestamp();
  return new;
end
$$;
revoke execute on function private.touch_edited_at from public;
create trigger touch_edited_at before update of name, metadata on public.devices
  for each row
  when (
    (old.name, old.metadata -> 'tags') is distinct from (new.name, new.metadata -> 'tags')
    and current_setting('app.syncing', true) is distinct from 'on'
  )
  execute function private.touch_edited_at();

-- Without a list of what is still to be indexed, which every search would read from one end to the other.
create index devices_hardware_ids on public.devices using gin ((metadata -> 'hardware_ids')) with (fastupdate = off)
  where metadata ? 'hardware_ids';
create index devices_serial_number on public.devices (organization_id, (metadata ->> 'serial_number'))
  where metadata ? 'serial_number';
create index devices_orphans on public.devices (organization_id, external_id) where integration_id is null;

create table public.device_links (
  device_id uuid primary key references public.devices (id) on delete cascade,
  organization_id uuid not null,
  integration_id uuid not null,
  remote_id text check (length(remote_id) between 1 and 512),
  status text not null check (status in ('creating', 'linked', 'out_of_scope', 'missing')),
  synced_name text,
  synced_tags jsonb,
  wanted jsonb,
  created_at timestamptz not null default now(),
  unique (integration_id, remote_id),
  check ((remote_id is null) = (status = 'creating')),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_links is 'Which device here is which at the provider, and what name and tags both had when they were last in step.';
comment on column public.device_links.status is
  'creating: the provider is being asked to create it; out_of_scope: there, but the sync does not look at it; missing: not there any more.';
comment on column public.device_links.wanted is 'creating: the name, hardware_ids and tags it is created with, by which it is known again.';
create index device_links_organization on public.device_links (organization_id, integration_id);
create index device_links_creating on public.device_links (integration_id, created_at) where status = 'creating';

alter table public.device_links enable row level security;
revoke all on public.device_links from anon, authenticated;
grant select on public.device_links to authenticated;
grant select, insert, update, delete on public.device_links to service_role;

create policy "Members see which device is which" on public.device_links
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table public.device_conflicts (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  device_id uuid not null references public.devices (id) on delete cascade,
  fields text[] not null,
  local jsonb not null,
  remote jsonb not null,
  status text not null default 'open' check (status in ('open', 'resolved')),
  resolution text check (resolution in ('local', 'remote', 'agreed')),
  policy text check (policy in ('local', 'remote', 'newest')),
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  resolved_by uuid references auth.users (id) on delete set null,
  applied_at timestamptz,
  check ((status = 'open') = (resolution is null)),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.device_conflicts is 'Names and tags that were changed on both sides, and who had the say.';
comment on column public.device_conflicts.local is 'The fields as they were here.';
comment on column public.device_conflicts.remote is 'The fields as they were at the provider.';
comment on column public.device_conflicts.resolution is 'Whose values count; agreed: both sides came to the same by themselves.';
comment on column public.device_conflicts.policy is 'What resolved it; null where a person did.';
comment on column public.device_conflicts.applied_at is 'When both sides were brought in step with the resolution.';
create index device_conflicts_settled on public.device_conflicts (applied_at) where applied_at is not null;
create unique index device_conflicts_unsettled on public.device_conflicts (device_id) where applied_at is null;
create index device_conflicts_integration on public.device_conflicts (integration_id, created_at desc, id desc);
create index device_conflicts_organization on public.device_conflicts (organization_id, integration_id);

alter table public.device_conflicts enable row level security;
revoke all on public.device_conflicts from anon, authenticated;
grant select on public.device_conflicts to authenticated;
grant select, insert, update, delete on public.device_conflicts to service_role;

create policy "Members see the conflicts" on public.device_conflicts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create unlogged table private.job_sightings (
  job_id uuid not null references public.integration_jobs (id) on delete cascade,
  remote_id text not null,
  primary key (job_id, remote_id)
);
comment on table private.job_sightings is
  'The devices a sync under way has seen. Unlogged: what a crash forgets is asked for one by one.';
alter table private.job_sightings enable row level security;
grant select, insert on private.job_sightings to service_role;

create function private.forget_sightings() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from private.job_sightings where job_id = new.id;
  return null;
end
$$;
revoke execute on function private.forget_sightings from public;
create trigger forget_sightings after update of status on public.integration_jobs
  for each row when (new.status not in ('pending', 'running')) execute function private.forget_sightings();

create function private.hold_job(p_job_id uuid, p_lease_token uuid) returns public.device_integrations
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations;
begin
  select i.* into v_integration
    from public.integration_jobs j join public.device_integrations i on i.id = j.integration_id
   where j.id = p_job_id and j.lease_token = p_lease_token
     for share of j;
  if not found then
    perform private.refuse_late_worker();
  end if;
  perform set_config('app.syncing', 'on', true);
  return v_integration;
end
$$;
comment on function private.hold_job is 'The integration of a job whose lease is held, until the end of the transaction; PT409 when it was lost.';

create function private.read_tags(p_metadata jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_agg(t.tag order by t.tag collate "C"), '[]')
    from (
      select distinct e.value #>> '{}' as tag
        from jsonb_array_elements(case when jsonb_typeof(p_metadata -> 'tags') = 'array' then p_metadata -> 'tags' end) e
       where jsonb_typeof(e.value) = 'string') t
$$;
comment on function private.read_tags is 'The tags in a device''s metadata, sorted; none where there is something else.';

create function private.read_strings(p_list jsonb) returns text[]
language sql immutable set search_path = ''
as $$
  select array(
    select e.value #>> '{}'
      from jsonb_array_elements(case when jsonb_typeof(p_list) = 'array' then p_list end) e
     where jsonb_typeof(e.value) = 'string')
$$;

create function private.judge_field(p_local jsonb, p_remote jsonb, p_base jsonb) returns text
language sql immutable set search_path = ''
as $$
  select case when p_local = p_remote then 'same' when p_local = p_base then 'remote' when p_remote = p_base then 'local' else 'both' end
$$;
comment on function private.judge_field is 'Which side has changed a value since both had p_base; both where that is not known.';

create function private.judge_status(p_seen timestamptz, p_online timestamptz, p_offline timestamptz, p_minutes integer) returns text
language sql stable set search_path = ''
as $$
  select case
    when p_offline >= coalesce(p_seen, p_offline) then 'offline'
    when p_online > coalesce(p_offline, '-infinity') then 'online'
    when p_seen > now() - make_interval(mins => p_minutes) then 'online'
    when p_seen is not null then 'offline'
    else 'unknown'
  end
$$;
comment on function private.judge_status is
  'By what is known of its coming and going, else online for p_minutes after it was last heard.';

create function private.last_heard(p_remote jsonb, p_known timestamptz) returns timestamptz
language sql stable set search_path = ''
as $$
  select min(least(t.heard, now()))
    from (
      select greatest(p_known, (p_remote ->> 'last_report')::timestamptz, (p_remote ->> 'last_online')::timestamptz) as heard) t
   where t.heard is not null
$$;
comment on function private.last_heard is 'When it last said something, as far as the provider or we know; never in the future.';

create function private.list_facts(p_remote jsonb) returns jsonb
language sql immutable set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
           'cohort', p_remote -> 'cohort', 'enabled', p_remote -> 'enabled', 'firmware', p_remote -> 'firmware',
           'settings', p_remote -> 'settings', 'last_online', p_remote -> 'last_online',
           'last_offline', p_remote -> 'last_offline'))
$$;
comment on function private.list_facts is 'What the provider says of a device, as it is kept under metadata.provider.';

create function private.pick_fields(p_values jsonb, p_fields text[]) returns jsonb
language sql immutable set search_path = ''
as $$
  select coalesce(jsonb_object_agg(f, p_values -> f), '{}') from unnest(p_fields) f
$$;

create function private.sync_interval(p_settings jsonb) returns interval
language sql immutable set search_path = ''
as $$
  -- Settings may have been written past the API.
  select make_interval(secs => case jsonb_typeof(p_settings -> 'sync_interval_seconds')
    when 'number' then least(greatest((p_settings ->> 'sync_interval_seconds')::numeric, 60), 604800)
    else 900 end::double precision)
$$;

create function private.is_free(p_device_id uuid) returns boolean
language sql stable set search_path = ''
as $$
  select not exists (
    select from public.device_links l where l.device_id = p_device_id and l.status in ('linked', 'out_of_scope'))
$$;

create function private.find_claim(p_integration_id uuid, p_remote jsonb) returns uuid
language sql stable set search_path = ''
as $$
  select l.device_id
    from public.device_links l
   where l.integration_id = p_integration_id and l.status = 'creating'
     and case when l.wanted -> 'hardware_ids' = '[]' then l.wanted ->> 'name' = p_remote ->> 'name'
              else (l.wanted -> 'hardware_ids') ?| private.read_strings(p_remote -> 'hardware_ids') end
   order by l.created_at
   limit 1
$$;
comment on function private.find_claim is 'The device that is being created at the provider and that this one must be, as its answer got lost.';

create function private.choose_alike(p_integration public.device_integrations, p_ids uuid[]) returns public.devices
language plpgsql volatile set search_path = ''
as $$
declare
  v_device public.devices;
begin
  if cardinality(p_ids) > 0 then
    -- Devices without an integration are what deleted ones have left behind.
    select d.* into v_device
      from public.devices d
     where d.id = any (p_ids) and d.organization_id = p_integration.organization_id
       and (d.integration_id = p_integration.id or d.integration_id is null) and private.is_free(d.id)
     order by d.integration_id, d.created_at, d.id
     limit 1
       for no key update;
  end if;
  return v_device;
end
$$;
comment on function private.choose_alike is 'Of these devices the first that the integration may take; null where there is none.';

create function private.match_device(p_integration public.device_integrations, p_remote jsonb) returns public.devices
language plpgsql volatile set search_path = '' set enable_seqscan = off -- its plans are made while the table is still small
as $$
declare
  v_hardware text[] := private.read_strings(p_remote -> 'hardware_ids');
  v_device public.devices;
  v_claim uuid;
  v_alike uuid[];
begin
  select d.* into v_device
    from public.devices d
   where d.integration_id = p_integration.id and d.external_id = p_remote ->> 'id'
     for no key update;
  if found and not private.is_free(v_device.id) then
    return v_device;
  end if;
  v_claim := private.find_claim(p_integration.id, p_remote);
  if v_claim is not null then
    select d.* into v_device from public.devices d where d.id = v_claim for no key update;
  end if;
  if v_device.id is not null then
    return v_device;
  end if;
  v_alike := array(
    select h.id from public.devices h where h.metadata ? 'hardware_ids' and (h.metadata -> 'hardware_ids') ?| v_hardware);
  v_device := private.choose_alike(p_integration, v_alike);
  if v_device.id is null then
    v_alike := array(
      select h.id from public.devices h
       where h.organization_id = p_integration.organization_id
         and h.metadata ? 'serial_number' and h.metadata ->> 'serial_number' = any (v_hardware));
    v_device := private.choose_alike(p_integration, v_alike);
  end if;
  if v_device.id is not null then
    return v_device;
  end if;
  select d.* into v_device
    from public.devices d
   where d.organization_id = p_integration.organization_id and d.integration_id is null and d.external_id = p_remote ->> 'id'
   order by d.created_at, d.id
   limit 1 for no key update;
  return v_device;
end
$$;
comment on function private.match_device is
  'The device here that a provider''s device is: by its id there, by a creation that was begun, by hardware id, by serial number. '
  'Null where there is none.';

create function private.link_device(p_integration public.device_integrations, p_device_id uuid, p_remote_id text) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  v_begun timestamptz := (select l.created_at from public.device_links l where l.device_id = p_device_id and l.status = 'creating');
  v_twin public.devices;
begin
  select d.* into v_twin
    from public.devices d
   where d.integration_id = p_integration.id and d.external_id = p_remote_id and d.id <> p_device_id
     for update;
  if found then
    -- What it said before we knew its id has made a device of its own, which nobody can have used yet.
    if v_twin.name <> v_twin.external_id or v_twin.created_at < coalesce(v_begun, 'infinity')
       or not private.is_free(v_twin.id) then
      return false;
    end if;
    update public.device_messages set device_id = p_device_id where device_id = v_twin.id;
    update public.device_commands set device_id = p_device_id where device_id = v_twin.id;
    delete from public.devices where id = v_twin.id;
  end if;
  update public.devices set integration_id = p_integration.id, external_id = p_remote_id where id = p_device_id;
  insert into public.device_links as l (device_id, organization_id, integration_id, remote_id, status)
  values (p_device_id, p_integration.organization_id, p_integration.id, p_remote_id, 'linked')
  on conflict (device_id) do update
    set integration_id = excluded.integration_id, remote_id = excluded.remote_id, status = 'linked', wanted = null;
  return true;
end
$$;
comment on function private.link_device is
  'Has a device go by its id at the provider from now on; false where another device has that id already.';

create function private.settle_conflict(
  p_device public.devices, p_fields text[], p_local jsonb, p_remote jsonb, p_policy text, p_says text, out say text, out is_new boolean
)
language plpgsql volatile set search_path = ''
as $$
declare
  v_known public.device_conflicts;
begin
  select c.* into v_known from public.device_conflicts c where c.device_id = p_device.id and c.applied_at is null for update;
  if cardinality(p_fields) = 0 then
    update public.device_conflicts
       set status = 'resolved', resolution = coalesce(resolution, 'agreed'), resolved_at = coalesce(resolved_at, now()),
           applied_at = now()
     where id = v_known.id;
    return;
  end if;
  -- A decision holds for the values it was made on: what would be overwritten must still be what was seen then.
  if v_known.status = 'resolved' and v_known.fields = p_fields
     and (case v_known.resolution when 'local' then v_known.remote = p_remote else v_known.local = p_local end) then
    say := v_known.resolution;
    return;
  end if;
  say := p_says;
  insert into public.device_conflicts as c
    (organization_id, integration_id, device_id, fields, local, remote, status, resolution, policy, resolved_at)
  select p_device.organization_id, p_device.integration_id, p_device.id, p_fields, p_local, p_remote,
         case when d.resolution is null then 'open' else 'resolved' end, d.resolution,
         case when d.resolution is not null then p_policy end, case when d.resolution is not null then now() end
    from (select nullif(p_says, 'manual') as resolution) d
  on conflict (device_id) where applied_at is null do update
    set fields = excluded.fields, local = excluded.local, remote = excluded.remote, status = excluded.status,
        resolution = excluded.resolution, policy = excluded.policy, resolved_at = excluded.resolved_at, resolved_by = null
    where (c.fields, c.local, c.remote, c.status) is distinct from (excluded.fields, excluded.local, excluded.remote, excluded.status)
  returning xmax = 0 into is_new;
end
$$;
comment on function private.settle_conflict is
  'Who has the say over fields that both sides changed: whoever a person decided for, else what the policy says (local, remote, manual). '
  'A conflict is recorded once; without fields the one there was is over.';

create function private.renew_device(p_device public.devices, p_remote jsonb, p_taken jsonb, p_online_minutes integer)
returns public.devices
language plpgsql stable set search_path = ''
as $$
declare
  v_new public.devices := p_device;
  v_known text[] := private.read_strings(p_device.metadata -> 'hardware_ids');
begin
  v_new.name := coalesce(p_taken ->> 'name', p_device.name);
  v_new.last_seen_at := private.last_heard(p_remote, p_device.last_seen_at);
  v_new.status := private.judge_status(
    v_new.last_seen_at, (p_remote ->> 'last_online')::timestamptz, (p_remote ->> 'last_offline')::timestamptz, p_online_minutes);
  v_new.firmware_version := coalesce(p_remote ->> 'firmware_version', p_device.firmware_version);
  v_new.metadata := p_device.metadata || jsonb_build_object('provider', private.list_facts(p_remote));
  if jsonb_array_length(p_remote -> 'hardware_ids') > 0 then
    v_new.metadata := v_new.metadata || jsonb_build_object(
      'hardware_ids', to_jsonb(v_known) || ((p_remote -> 'hardware_ids') - v_known));
  end if;
  if p_taken ? 'tags' then
    v_new.metadata := v_new.metadata || jsonb_build_object('tags', p_taken -> 'tags');
  end if;
  return v_new;
end
$$;
comment on function private.renew_device is 'The device with what the provider says of it, and with the name and tags in p_taken.';

create function private.take_facts(p_device public.devices, p_remote jsonb, p_taken jsonb, p_online_minutes integer) returns boolean
language plpgsql volatile set search_path = ''
as $$
declare
  v_new public.devices := private.renew_device(p_device, p_remote, p_taken, p_online_minutes);
begin
  if v_new is not distinct from p_device then
    return false;
  end if;
  update public.devices
     set name = v_new.name, metadata = v_new.metadata, status = v_new.status, last_seen_at = v_new.last_seen_at,
         firmware_version = v_new.firmware_version
   where id = p_device.id;
  return true;
end
$$;
comment on function private.take_facts is 'Takes over what the provider says of a device, and the name and tags in p_taken; whether that changed anything.';

create function private.is_in_step(p_device public.devices, p_link public.device_links, p_remote jsonb, p_options jsonb) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  if p_link.status is distinct from 'linked' or p_link.remote_id <> p_remote ->> 'id' then
    return false;
  end if;
  if not (p_options ->> 'update_existing')::boolean then
    return true;
  end if;
  return p_device.name = p_remote ->> 'name' and p_link.synced_name = p_device.name
    and p_link.synced_tags = p_remote -> 'tags' and private.read_tags(p_device.metadata) = p_remote -> 'tags'
    and (p_options ->> 'direction' = 'export'
         or private.renew_device(p_device, p_remote, '{}', (p_options ->> 'online_minutes')::integer) is not distinct from p_device)
    and not exists (
      select from public.device_conflicts c where c.device_id = p_device.id and c.applied_at is null);
end
$$;
comment on function private.is_in_step is 'Whether there is nothing to do about a device, which is so for most of them most of the time.';

create function private.sync_device(
  p_integration public.device_integrations, p_device_id uuid, p_remote jsonb, p_options jsonb
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_import boolean := p_options ->> 'direction' in ('import', 'both');
  v_export boolean := p_options ->> 'direction' in ('export', 'both');
  v_policy text := p_options ->> 'conflicts';
  v_device public.devices;
  v_link public.device_links;
  v_local jsonb;
  v_base jsonb;
  v_taken jsonb := '{}';
  v_push jsonb := '{}';
  v_clash text[];
  v_say text;
  v_is_new boolean;
  v_field text;
  v_state text;
  v_updated boolean := false;
begin
  select * into v_device from public.devices where id = p_device_id;
  select * into v_link from public.device_links where device_id = p_device_id;
  v_local := jsonb_build_object('name', v_device.name, 'tags', private.read_tags(v_device.metadata));
  -- What nobody here has given yet is not a value of ours: the id as a name, no tags at all.
  v_base := jsonb_strip_nulls(jsonb_build_object(
    'name', coalesce(v_link.synced_name, case when v_device.name = v_device.external_id then v_device.name end),
    'tags', coalesce(v_link.synced_tags, case when not v_device.metadata ? 'tags' then '[]'::jsonb end)));

  if (p_options ->> 'update_existing')::boolean then
    v_clash := array(
      select f from unnest(array['name', 'tags']) f
       where private.judge_field(v_local -> f, p_remote -> f, v_base -> f) = 'both');
    if v_policy = 'newest' then
      v_policy := case when (p_remote ->> 'updated_at')::timestamptz > v_device.edited_at then 'remote' else 'local' end;
    end if;
    select c.say, c.is_new into v_say, v_is_new
      from private.settle_conflict(
        v_device, v_clash, private.pick_fields(v_local, v_clash), private.pick_fields(p_remote, v_clash),
        p_options ->> 'conflicts', v_policy) c;
    foreach v_field in array array['name', 'tags'] loop
      v_state := case
        when v_field = any (v_clash) then v_say
        else private.judge_field(v_local -> v_field, p_remote -> v_field, v_base -> v_field)
      end;
      if v_state = 'remote' and v_import then
        v_taken := v_taken || private.pick_fields(p_remote, array[v_field]);
        v_base := v_base || private.pick_fields(p_remote, array[v_field]);
      elsif v_state = 'local' and v_export then
        v_push := v_push || private.pick_fields(v_local, array[v_field]);
      elsif v_state = 'same' or v_field = any (v_clash) and v_state = 'remote' then
        v_base := v_base || private.pick_fields(v_local, array[v_field]);
      elsif v_field = any (v_clash) and v_state = 'local' then
        -- This direction changes neither side; what the other has is known from now on.
        v_base := v_base || private.pick_fields(p_remote, array[v_field]);
      end if;
    end loop;
    if v_say in ('local', 'remote') and not v_push ?| v_clash then
      update public.device_conflicts set applied_at = now() where device_id = p_device_id and applied_at is null;
    end if;
    update public.device_links
       set synced_name = v_base ->> 'name', synced_tags = v_base -> 'tags'
     where device_id = p_device_id and (synced_name, synced_tags) is distinct from (v_base ->> 'name', v_base -> 'tags');
    if v_import then
      v_updated := private.take_facts(v_device, p_remote, v_taken, (p_options ->> 'online_minutes')::integer);
    end if;
  end if;

  return jsonb_strip_nulls(jsonb_build_object(
    'updated', nullif(v_updated, false), 'taken', nullif(v_taken, '{}'), 'conflict', nullif(v_is_new, false),
    'push', case when v_push <> '{}' then jsonb_build_object(
      'device_id', p_device_id, 'remote_id', p_remote -> 'id', 'values', v_push,
      'add_tags', (v_push -> 'tags') - private.read_strings(p_remote -> 'tags'),
      'remove_tags', case when v_push ? 'tags' then (p_remote -> 'tags') - private.read_strings(v_push -> 'tags') end) end));
end
$$;
comment on function private.sync_device is
  'Brings one linked device in step: takes the provider''s facts, and of name and tags what only the other side changed. '
  '{updated, taken, conflict (a new one), push (what the provider has to be told)}, each where there is something.';

create function private.create_devices(p_integration public.device_integrations, p_devices jsonb, p_options jsonb) returns void
language sql volatile set search_path = ''
as $$
  with remote as (
    select r.value as device, r.value ->> 'id' as id, (r.value ->> 'last_online')::timestamptz as online,
           (r.value ->> 'last_offline')::timestamptz as offline,
           private.last_heard(r.value, null) as seen
      from jsonb_array_elements(p_devices) r
  ),
  created as (
    insert into public.devices (
      organization_id, integration_id, external_id, name, status, last_seen_at, firmware_version, metadata)
    select p_integration.organization_id, p_integration.id, r.id, r.device ->> 'name',
           private.judge_status(r.seen, r.online, r.offline, (p_options ->> 'online_minutes')::integer), r.seen,
           r.device ->> 'firmware_version',
           jsonb_build_object(
             'hardware_ids', r.device -> 'hardware_ids', 'tags', r.device -> 'tags', 'provider', private.list_facts(r.device))
      from remote r
     order by r.id
    on conflict (integration_id, external_id) do nothing -- it has just said something, and is met by the next run
    returning id, external_id
  )
  insert into public.device_links (device_id, organization_id, integration_id, remote_id, status, synced_name, synced_tags)
  select c.id, p_integration.organization_id, p_integration.id, r.id, 'linked', r.device ->> 'name', r.device -> 'tags'
    from created c join remote r on r.id = c.external_id
$$;

create function private.sync_page(p_integration public.device_integrations, p_devices jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_room integer := p_options ->> 'room';
  v_creates boolean := p_options ->> 'direction' <> 'export' and (p_options ->> 'create_missing')::boolean;
  v_row record;
  v_device public.devices;
  v_action text;
  v_result jsonb;
  v_new jsonb := '[]';
  v_done jsonb[] := '{}';
begin
  -- In the order in which ingest_messages locks devices, so that neither waits for the other for ever.
  for v_row in
    select r.value as remote, d.device, l.link
      from jsonb_array_elements(p_devices) r
      left join lateral (
        select e as device from public.devices e
         where e.integration_id = p_integration.id and e.external_id = r.value ->> 'id'
         limit 1) d on true
      left join lateral (select k as link from public.device_links k where k.device_id = (d.device).id limit 1) l on true
     order by r.value ->> 'id'
  loop
    v_device := v_row.device;
    v_action := 'unchanged';
    v_result := '{}';
    if v_device.id is null or not private.is_in_step(v_device, v_row.link, v_row.remote, p_options) then
      v_device := private.match_device(p_integration, v_row.remote);
      if v_device.id is null then
        v_action := case when not v_creates then 'skipped' when v_room <= 0 then 'over_limit' else 'created' end;
      elsif not exists (
              select from public.device_links l
               where l.device_id = v_device.id and l.status = 'linked' and l.remote_id = v_row.remote ->> 'id') then
        v_action := case when private.link_device(p_integration, v_device.id, v_row.remote ->> 'id') then 'linked' else 'refused' end;
      end if;
      if v_action = 'created' then
        v_room := v_room - 1;
        v_new := v_new || v_row.remote;
      elsif v_action = 'refused' then
        -- Another device has its id; what this one was to become is over.
        delete from public.device_links where device_id = v_device.id and status = 'creating';
      elsif v_device.id is not null then
        v_result := private.sync_device(p_integration, v_device.id, v_row.remote, p_options);
        v_action := case when v_action = 'unchanged' and v_result ? 'updated' then 'updated' else v_action end;
      end if;
    end if;
    v_done := v_done || jsonb_strip_nulls(jsonb_build_object(
      'action', v_action, 'device_id', v_device.id, 'remote_id', v_row.remote -> 'id', 'name', v_row.remote -> 'name') || v_result);
  end loop;
  perform private.create_devices(p_integration, v_new, p_options);
  return to_jsonb(v_done);
end
$$;
comment on function private.sync_page is
  'What came of each device, [{action: created | linked | updated | unchanged | skipped | over_limit | refused, device_id, remote_id, '
  'name}] with what sync_device says beside it.';

create function private.end_dry_run(p_options jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  if (p_options ->> 'dry_run')::boolean then
    raise exception 'A dry run takes everything back.' using errcode = 'DRYRN';
  end if;
end
$$;
comment on function private.end_dry_run is 'Raises DRYRN in a dry run: whoever catches it has done the same as without, and nothing is left of it.';

create function public.sync_devices(p_job_id uuid, p_lease_token uuid, p_devices jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_done jsonb;
begin
  insert into private.job_sightings (job_id, remote_id)
  select p_job_id, d.value ->> 'id' from jsonb_array_elements(p_devices) d
  on conflict do nothing;
  begin
    v_done := private.sync_page(v_integration, p_devices, p_options);
    perform private.end_dry_run(p_options);
  exception when sqlstate 'DRYRN' then
    null;
  end;
  return v_done;
end
$$;
comment on function public.sync_devices is
  'Brings a page of a provider''s devices in step, in one transaction: {direction, conflicts, create_missing, update_existing, room '
  '(how many may still be created), online_minutes, dry_run}. A dry run does the same and takes it back. PT409 when the '
  'job''s lease was lost.';

create function public.confirm_exports(p_job_id uuid, p_lease_token uuid, p_exports jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  perform private.hold_job(p_job_id, p_lease_token);
  update public.device_links l
     set synced_name = coalesce(e."values" ->> 'name', l.synced_name), synced_tags = coalesce(e."values" -> 'tags', l.synced_tags)
    from jsonb_to_recordset(p_exports) as e(device_id uuid, "values" jsonb)
   where l.device_id = e.device_id;
  update public.device_conflicts c
     set applied_at = now()
    from jsonb_to_recordset(p_exports) as e(device_id uuid)
   where c.device_id = e.device_id and c.status = 'resolved' and c.applied_at is null;
end
$$;
comment on function public.confirm_exports is 'The provider has taken these names and tags, [{device_id, values: {name?, tags?}}].';

create function public.list_unlinked(
  p_job_id uuid, p_lease_token uuid, p_after uuid, p_limit integer, p_claim boolean
) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_devices jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(u) order by u.device_id), '[]') into v_devices
    from (
      select d.id as device_id, d.external_id, d.name, private.read_tags(d.metadata) as tags,
             to_jsonb(private.read_strings(d.metadata -> 'hardware_ids')) as hardware_ids
        from public.devices d
       where d.integration_id = v_integration.id and d.id > p_after
         and not exists (select from public.device_links l where l.device_id = d.id and l.status <> 'creating')
         and not exists (select from public.device_provisionings p where p.device_id = d.id and p.status = 'pending')
       order by d.id
       limit p_limit
    ) u;
  if p_claim then
    insert into public.device_links (device_id, organization_id, integration_id, status, wanted)
    select u.device_id, v_integration.organization_id, v_integration.id, 'creating', u.wanted
      from (
        select (d.value ->> 'device_id')::uuid as device_id,
               jsonb_build_object(
                 'name', d.value -> 'name', 'hardware_ids', d.value -> 'hardware_ids', 'tags', d.value -> 'tags') as wanted
          from jsonb_array_elements(v_devices) d) u
    on conflict (device_id) do update set wanted = excluded.wanted where device_links.wanted <> excluded.wanted;
  end if;
  return v_devices;
end
$$;
comment on function public.list_unlinked is
  'Devices of the job''s integration that the provider does not have, after an id. With p_claim it is written down that they are being '
  'created there, so that what a crash leaves half done is known again.';

create function private.link_found(p_job_id uuid, p_integration public.device_integrations, p_links jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_item record;
  v_linked boolean;
  v_done jsonb := '[]';
begin
  for v_item in
    select l.device_id, l.remote
      from jsonb_to_recordset(p_links) as l(device_id uuid, remote jsonb) join public.devices d on d.id = l.device_id
  loop
    v_linked := false;
    if coalesce(v_item.remote, 'null') <> 'null'
       and coalesce(private.find_claim(p_integration.id, v_item.remote), v_item.device_id) = v_item.device_id then
      v_linked := private.link_device(p_integration, v_item.device_id, v_item.remote ->> 'id');
    end if;
    v_done := v_done || jsonb_build_array(jsonb_build_object('device_id', v_item.device_id, 'linked', v_linked)
      || case when v_linked then private.sync_device(p_integration, v_item.device_id, v_item.remote, p_options) else '{}' end);
    if v_linked then
      insert into private.job_sightings (job_id, remote_id) values (p_job_id, v_item.remote ->> 'id') on conflict do nothing;
    else
      delete from public.device_links where device_id = v_item.device_id and status = 'creating';
    end if;
  end loop;
  return v_done;
end
$$;

create function public.link_devices(p_job_id uuid, p_lease_token uuid, p_links jsonb, p_options jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
  v_done jsonb;
begin
  begin
    v_done := private.link_found(p_job_id, v_integration, p_links, p_options);
    perform private.end_dry_run(p_options);
  exception when sqlstate 'DRYRN' then
    null;
  end;
  return v_done;
end
$$;
comment on function public.link_devices is
  'Links devices to those that were created or found at the provider, [{device_id, remote}], and brings them in step. Where remote is '
  'null, or is another device''s already, the claim is given up. [{device_id, linked}] with what sync_device says beside it.';

create function public.list_unsighted(p_job_id uuid, p_lease_token uuid, p_after uuid, p_limit integer) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(u) order by u.device_id), '[]')
      from (
        select l.device_id, l.remote_id, d.name
          from public.device_links l join public.devices d on d.id = l.device_id
         where l.integration_id = v_integration.id and l.status = 'linked' and l.device_id > p_after
           and not exists (select from private.job_sightings s where s.job_id = p_job_id and s.remote_id = l.remote_id)
         order by l.device_id
         limit p_limit
      ) u);
end
$$;
comment on function public.list_unsighted is 'Linked devices that the job''s listing of the provider did not show, after an id.';

create function public.mark_devices(p_job_id uuid, p_lease_token uuid, p_devices jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_integration public.device_integrations := private.hold_job(p_job_id, p_lease_token);
begin
  update public.device_links l
     set status = m.status
    from jsonb_to_recordset(p_devices) as m(device_id uuid, status text)
   where l.device_id = m.device_id and l.integration_id = v_integration.id and m.status in ('missing', 'out_of_scope');
  update public.devices d
     set status = 'unknown',
         metadata = jsonb_set(
           d.metadata, '{provider}', coalesce(d.metadata -> 'provider', '{}') || jsonb_build_object('missing_since', now()))
    from jsonb_to_recordset(p_devices) as m(device_id uuid, status text)
   where d.id = m.device_id and d.integration_id = v_integration.id and m.status = 'missing';
end
$$;
comment on function public.mark_devices is
  'Devices that the provider does not have any more (missing), or that the sync does not look at any more (out_of_scope), [{device_id, '
  'status}]. They stay, with metadata.provider.missing_since.';

create function public.prune_conflicts(p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_pruned integer;
begin
  delete from public.device_conflicts
   where ctid = any (array(
     select c.ctid from public.device_conflicts c where c.applied_at < now() - interval '90 days' limit p_limit));
  get diagnostics v_pruned = row_count;
  return jsonb_build_object('conflicts', v_pruned);
end
$$;
comment on function public.prune_conflicts is 'Maintenance: forgets conflicts 90 days after they were settled, in batches.';

create function public.plan_syncs(p_limit integer default 1000) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_planned integer;
begin
  insert into public.integration_jobs (organization_id, integration_id, kind)
  select i.organization_id, i.id, 'sync'
    from public.device_integrations i
   where i.status <> 'inactive' and i.settings ? 'sync_direction'
     and i.settings ->> 'sync_direction' in ('import', 'export', 'both')
     and not exists (
       select from public.integration_jobs j
        where j.integration_id = i.id and j.kind = 'sync'
          and (j.status in ('pending', 'running')
               or (j.request ->> 'dry_run' is distinct from 'true'
                   and j.created_at > now() - private.sync_interval(i.settings))))
   limit p_limit
  on conflict (integration_id, kind) where status in ('pending', 'running') do nothing;
  get diagnostics v_planned = row_count;
  return v_planned;
end
$$;
comment on function public.plan_syncs is
  'Begins a sync of every active integration whose settings ask for it by sync_direction and sync_interval_seconds, when it is time.';

create function public.resolve_conflict(p_integration_id uuid, p_conflict_id uuid, p_resolution text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_status text;
begin
  perform private.administer_integration(p_integration_id);
  if p_resolution not in ('local', 'remote') then
    raise exception 'p_resolution is local or remote.' using errcode = '22023';
  end if;
  select c.status into v_status
    from public.device_conflicts c where c.id = p_conflict_id and c.integration_id = p_integration_id
     for update;
  if not found then
    raise exception 'This integration has no such conflict.' using errcode = 'PT404';
  end if;
  if v_status = 'resolved' then
    raise exception 'This conflict is resolved already.' using errcode = 'PT409', hint = 'wrong_status';
  end if;
  update public.device_conflicts
     set status = 'resolved', resolution = p_resolution, resolved_at = now(), resolved_by = auth.uid()
   where id = p_conflict_id;
  perform private.log_queue_change(
    p_integration_id, 'sync.resolved', 'A conflict was resolved.',
    jsonb_build_object('conflict_id', p_conflict_id, 'resolution', p_resolution));
end
$$;
comment on function public.resolve_conflict is
  'Decides an open conflict for one side; the next sync carries it out, unless the side that would be overwritten has changed again. '
  'PT409 where it is resolved.';

create index device_integrations_synced on public.device_integrations (id)
  where status <> 'inactive' and settings ? 'sync_direction';

revoke execute on function private.hold_job, private.read_tags, private.read_strings, private.judge_field, private.judge_status,
  private.list_facts, private.is_free, private.find_claim, private.choose_alike, private.match_device, private.link_device, private.settle_conflict, private.take_facts,
  private.renew_device, private.is_in_step,
  private.sync_device, private.create_devices, private.sync_page, private.pick_fields, private.sync_interval,
  private.link_found, private.end_dry_run, private.last_heard from public;
grant execute on function private.hold_job, private.read_tags, private.read_strings, private.judge_field, private.judge_status,
  private.list_facts, private.is_free, private.find_claim, private.choose_alike, private.match_device, private.link_device, private.settle_conflict, private.take_facts,
  private.renew_device, private.is_in_step,
  private.sync_device, private.create_devices, private.sync_page, private.pick_fields, private.sync_interval,
  private.link_found, private.end_dry_run, private.last_heard to service_role;
revoke execute on function public.sync_devices, public.confirm_exports, public.list_unlinked, public.link_devices,
  public.list_unsighted, public.mark_devices, public.prune_conflicts, public.plan_syncs from public, anon, authenticated;
grant execute on function public.sync_devices, public.confirm_exports, public.list_unlinked, public.link_devices,
  public.list_unsighted, public.mark_devices, public.prune_conflicts, public.plan_syncs to service_role;
revoke execute on function public.resolve_conflict from public, anon, service_role;
grant execute on function public.resolve_conflict to authenticated;

do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    alter publication supabase_realtime add table public.device_conflicts;
  end if;
end
$$;
