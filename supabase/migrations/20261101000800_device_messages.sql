-- What devices said. Partitioned by day, so that retention drops partitions.

create table public.device_messages (
  id uuid not null default gen_random_uuid(),
  organization_id uuid not null,
  integration_id uuid not null,
  device_id uuid,
  external_id text,
  event_id text not null,
  kind text not null check (kind in ('telemetry', 'state', 'event', 'log')),
  topic text,
  payload jsonb,
  metadata jsonb,
  raw text,
  raw_encoding text check (raw_encoding = 'base64'),
  observed_at timestamptz not null,
  received_at timestamptz not null,
  error text,
  remark text,
  first_version jsonb,
  primary key (id, received_at)
) partition by range (received_at);
comment on table public.device_messages is
  'Every message received, once. No foreign keys: telemetry outlives devices and integrations; an organization takes its own along.';
comment on column public.device_messages.external_id is 'The device as the outside names it, where it is not known here and device_id is null.';
comment on column public.device_messages.payload is 'The normalised readings or body; null where it could not be decoded.';
comment on column public.device_messages.metadata is
  'Facts of the transport (radio, headers, trace), never the device''s words.';
comment on column public.device_messages.raw is 'What came, where it differs from payload or could not be decoded; base64 where raw_encoding says so.';
comment on column public.device_messages.error is 'Only why it could not be decoded; null where it was.';
comment on column public.device_messages.remark is
  'What was odd and did not prevent decoding, such as a time that was not believed.';
comment on column public.device_messages.first_version is
  'What it was at first, where it was decoded anew: payload, kind, device_id, external_id, observed_at, remark.';
comment on column public.device_messages.observed_at is 'When it happened, by the device''s clock where it sends one, else received_at.';
create index device_messages_organization on public.device_messages (organization_id, received_at);
create index device_messages_device on public.device_messages (device_id, received_at desc);
create index device_messages_failed on public.device_messages (integration_id, received_at) where error is not null;
create index device_messages_observed on public.device_messages (device_id, observed_at) where observed_at <> received_at;
comment on index public.device_messages_observed is
  'Finds a reading by its own time. What has none but that of its arrival is not in it, and costs nothing here.';

alter table public.device_messages enable row level security;
create policy "Members read their messages" on public.device_messages
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

-- Partitions live in private: in public the API would expose each as a table without the parent's policies.
create function private.make_message_partition(p_day date) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_name text := 'device_messages_' || to_char(p_day, 'YYYYMMDD');
begin
  if to_regclass('private.' || v_name) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('private.make_message_partition'));
  -- Whoever held it may have made the table. Not asked of to_regclass: that believes for a while what it has just been told.
  if exists (select from pg_catalog.pg_class c
              where c.relname = v_name and c.relnamespace = 'private'::regnamespace) then
    return;
  end if;
  -- Attaching, unlike "create table … partition of", does not stop readers and writers of the parent.
  execute format('create table private.%I (like public.device_messages including defaults including constraints)', v_name);
  execute format('alter table private.%I enable row level security', v_name);
  execute format('revoke all on private.%I from anon, authenticated', v_name);
  execute format(
    'alter table public.device_messages attach partition private.%I for values from (%L) to (%L)',
    v_name, p_day::timestamp at time zone 'UTC', (p_day + 1)::timestamp at time zone 'UTC'
  );
end
$$;
comment on function private.make_message_partition is
  'Makes the partition for one UTC day, if it is not there yet, also where several ask for it at one moment.';

create function private.drop_message_partition(p_name text) returns boolean
language plpgsql volatile security definer set search_path = '' set lock_timeout = '100ms'
as $$
begin
  execute format('drop table private.%I', p_name);
  return true;
exception when lock_not_available then
  return false;
end
$$;
comment on function private.drop_message_partition is
  'Drops a partition, false while somebody reads the messages: whoever writes them meanwhile waits behind us, so not for long. To detach it '
  'concurrently is for no function and no transaction.';

select private.make_message_partition((now() at time zone 'UTC')::date + day) from generate_series(0, 3) as day;

revoke all on public.device_messages from public, anon, authenticated, service_role;
revoke execute on function private.make_message_partition, private.drop_message_partition
  from public, anon, authenticated, service_role;
