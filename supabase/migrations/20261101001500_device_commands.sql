-- What we tell devices. A member asks, the scheduler sends, retries until it expires, and records what came of it.

alter table public.devices add constraint devices_organization_device unique (organization_id, id);
drop index public.devices_organization;

create table public.device_commands (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  device_id uuid not null,
  integration_id uuid not null,
  name text not null check (length(btrim(name)) between 1 and 200),
  payload jsonb not null default '{}' check (octet_length(payload::text) <= 262144),
  status text not null default 'pending' check (status in ('pending', 'sending', 'sent', 'confirmed', 'failed', 'expired')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '1 hour',
  lease_token uuid,
  reference text,
  result jsonb check (octet_length(result::text) <= 262144),
  error text,
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  foreign key (organization_id, device_id) references public.devices (organization_id, id) on delete cascade,
  check (expires_at <= created_at + interval '7 days')
) with (fillfactor = 70);
comment on table public.device_commands is 'One thing told to one device. sent: the other side has it; confirmed: the device has said so.';
comment on column public.device_commands.due_at is 'pending: when to try; sending: when the lease ends and another may try.';
comment on column public.device_commands.reference is 'The other side''s own name for it.';
comment on column public.device_commands.result is 'What the device answered, where it did.';
create index device_commands_expiring on public.device_commands (expires_at) where status in ('pending', 'sending');
create index device_commands_queue on public.device_commands (integration_id, due_at) where status in ('pending', 'sending');
create index device_commands_device on public.device_commands (device_id, created_at desc, id desc);
create index device_commands_organization on public.device_commands (organization_id, created_at desc, id desc);

alter table public.device_commands enable row level security;
revoke all on public.device_commands from anon, authenticated;
grant select (
  id, organization_id, device_id, integration_id, name, payload, status, attempts, due_at, expires_at, reference,
  result, error, created_by, created_at, finished_at
) on public.device_commands to authenticated;
grant insert (device_id, name, payload, expires_at) on public.device_commands to authenticated;
grant select, insert, update, delete on public.device_commands to service_role;

create policy "Members see the commands" on public.device_commands
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Members send commands" on public.device_commands
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('member'))));

create function private.address_command() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  select d.organization_id, d.integration_id into new.organization_id, new.integration_id
    from public.devices d where d.id = new.device_id;
  if new.organization_id is null then
    -- Also the answer for a device of somebody else: the policy then refuses what has no organization.
    new.organization_id := '00000000-0000-0000-0000-000000000000';
    new.integration_id := new.organization_id;
  elsif new.integration_id is null then
    raise exception 'The device belongs to no integration any more, so there is no way to reach it.' using errcode = '22023';
  end if;
  return new;
end
$$;
comment on function private.address_command is 'A command goes where its device is: nobody can address another organization''s.';
revoke execute on function private.address_command from public;
create trigger address_command before insert on public.device_commands
  for each row execute function private.address_command();

create function private.find_commanded(p_after uuid) returns uuid
language sql stable set search_path = ''
as $$
  select c.integration_id from public.device_commands c
   where c.integration_id > p_after and c.status in ('pending', 'sending')
   order by c.integration_id
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
    cross join lateral (
      select count(*) as sending from public.device_commands c
       where c.integration_id = w.id and c.status = 'sending' and c.due_at > now()) u
    cross join lateral (
      select c.id, c.due_at, row_number() over (order by c.due_at) as turn from public.device_commands c
       where c.integration_id = w.id and c.status in ('pending', 'sending') and c.due_at <= now() and c.expires_at > now()
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
      select jsonb_object_agg(i.id, jsonb_build_object(
               'id', i.id, 'organization_id', i.organization_id, 'integration_type', i.integration_type, 'name', i.name,
               'settings', i.settings, 'api_key_encrypted', i.api_key_encrypted))
        from public.device_integrations i where i.id in (select l.integration_id from leased l)), '{}'),
    'commands', coalesce((
      select jsonb_agg(jsonb_build_object(
               'id', l.id, 'lease_token', l.lease_token, 'integration_id', l.integration_id, 'attempts', l.attempts,
               'name', l.name, 'payload', l.payload, 'expires_at', l.expires_at, 'device', d.external_id)
             order by l.created_at)
        from leased l join public.devices d on d.id = l.device_id), '[]'))
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
revoke execute on function private.find_commanded, private.pick_commands from public;
grant execute on function private.find_commanded, private.pick_commands to service_role;
revoke execute on function public.lease_commands, public.finish_commands from public, anon, authenticated;
grant execute on function public.lease_commands, public.finish_commands to service_role;
