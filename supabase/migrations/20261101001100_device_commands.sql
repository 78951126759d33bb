-- What we tell devices. A member asks, the scheduler sends, retries until it expires, and records what came of it.

create table public.device_commands (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  device_id uuid not null,
  integration_id uuid not null,
  name text not null check (length(name) <= 200 and length(btrim(name)) > 0),
  payload jsonb not null default '{}',
  status text not null default 'pending' check (status in ('pending', 'sending', 'sent', 'confirmed', 'failed', 'expired')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '1 hour',
  lease_token uuid,
  reference text,
  result jsonb check (octet_length(result::text) <= 262144),
  error text,
  created_by uuid default auth.uid(),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  foreign key (organization_id, device_id) references public.devices (organization_id, id) on delete cascade,
  check (expires_at <= created_at + interval '7 days')
) with (fillfactor = 70);
comment on table public.device_commands is 'One thing told to one device. sent: the other side has it; confirmed: the device has said so.';
comment on column public.device_commands.due_at is 'pending: when to try; sending: when the lease ends and another may try.';
comment on column public.device_commands.reference is 'The other side''s own name for it.';
comment on column public.device_commands.created_by is 'Who asked, for as long as the row is kept, whether there is such a user any more or not.';
comment on column public.device_commands.result is 'What the device answered, where it did.';
create index device_commands_expiring on public.device_commands (expires_at) where status in ('pending', 'sending');
create index device_commands_queue on public.device_commands (organization_id, integration_id, due_at)
  where status in ('pending', 'sending');
create index device_commands_device on public.device_commands (device_id, created_at desc, id desc);
create index device_commands_organization on public.device_commands (organization_id, created_at desc, id desc);
create index device_commands_age on public.device_commands using brin (created_at) with (autosummarize = on);

alter table public.device_commands enable row level security;
create policy "Members see the commands" on public.device_commands
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Members send commands" on public.device_commands
  for insert to authenticated
  with check (organization_id = any (array(select private.org_ids('member'))));

create trigger check_portable before insert or update of payload on public.device_commands
  for each row execute function private.check_portable('payload', '262144');
create trigger check_quota after insert on public.device_commands referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('pending_commands');

create function private.address_command() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  select d.organization_id, d.integration_id into new.organization_id, new.integration_id
    from public.devices d
   where d.id = new.device_id
     and (not private.is_user() or d.organization_id = any (array(select private.org_ids('viewer'))));
  if new.organization_id is null then
    -- The policy then refuses what has no organization, in the same words for what is not there and what is somebody else's.
    new.organization_id := '00000000-0000-0000-0000-000000000000';
    new.integration_id := new.organization_id;
  elsif new.integration_id is null then
    raise exception 'The device belongs to no integration any more, so there is no way to reach it.' using errcode = '22023';
  end if;
  return new;
end
$$;
comment on function private.address_command is 'A command goes where its device is: nobody can address another organization''s.';
create trigger address_command before insert on public.device_commands
  for each row execute function private.address_command();

create function private.charge_command() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.charge('command', new.organization_id, 1 + pg_column_size(new.payload) / 4096);
  return new;
end
$$;
comment on function private.charge_command is 'A command sent past the API costs what it costs there: a token for each 4 KB.';
create trigger charge_command before insert on public.device_commands
  for each row when (current_user = 'authenticated') execute function private.charge_command();

create function private.end_commands() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.device_commands
     set status = 'failed', lease_token = null, finished_at = now(),
         error = 'Its integration was deleted before it was sent.'
   where id = any (array(
     select c.id from public.device_commands c
      where c.integration_id = old.id and c.organization_id = old.organization_id and c.status in ('pending', 'sending')
      limit 10000));
  return old;
end
$$;
comment on function private.end_commands is
  'A deleted integration ends its commands, as it ends its deliveries: nobody sends them any more. Those over ten thousand with the next maintenance.';
create trigger end_commands before delete on public.device_integrations
  for each row execute function private.end_commands();

revoke all on public.device_commands from public, anon, authenticated, service_role;
revoke execute on function private.address_command, private.charge_command, private.end_commands from public, anon, authenticated, service_role;
