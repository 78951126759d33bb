-- What devices said. Partitioned by day, so that retention drops partitions; the ledger remembers what was stored.

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
  raw text,
  raw_encoding text check (raw_encoding = 'base64'),
  observed_at timestamptz not null,
  received_at timestamptz not null,
  error text,
  primary key (id, received_at)
) partition by range (received_at);
comment on table public.device_messages is
  'Every message received, once. No foreign keys: telemetry outlives devices and integrations; an organization takes its own along.';
comment on column public.device_messages.external_id is 'The device as the outside names it, where it is not known here and device_id is null.';
comment on column public.device_messages.payload is 'The normalised readings or body; null where it could not be decoded.';
comment on column public.device_messages.raw is 'What came, where it differs from payload or could not be decoded; base64 where raw_encoding says so.';
comment on column public.device_messages.observed_at is 'When it happened, by the device''s clock where it sends one, else received_at.';
create index device_messages_organization on public.device_messages (organization_id, received_at);
create index device_messages_device on public.device_messages (device_id, received_at desc);
create index device_messages_failed on public.device_messages (integration_id, received_at) where error is not null;

alter table public.device_messages enable row level security;
revoke all on public.device_messages from anon, authenticated;
grant select on public.device_messages to authenticated;
grant select, insert, update, delete on public.device_messages to service_role;

create policy "Members read their messages" on public.device_messages
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

-- Partitions live in private: in public the API would expose each as a table without the parent's policies.
create function private.make_message_partition(p_day date) returns void
language plpgsql security definer set search_path = ''
as $$
declare
  v_name text := 'device_messages_' || to_char(p_day, 'YYYYMMDD');
begin
  if to_regclass('private.' || v_name) is not null then
    return;
  end if;
  perform pg_advisory_xact_lock(hashtext('private.make_message_partition'));
  if to_regclass('private.' || v_name) is not null then
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
comment on function private.make_message_partition is 'Makes the partition for one UTC day, if it is not there yet.';

select private.make_message_partition((now() at time zone 'UTC')::date + day) from generate_series(0, 3) as day;

create table private.message_ledger (
  integration_id uuid not null,
  event_id text not null collate "C",
  seen_at timestamptz not null default now(),
  primary key (integration_id, event_id)
);
comment on table private.message_ledger is
  'Which event ids were stored: a message is a duplicate for as long as its id stands here, 7 days (see prune_messages).';
create index message_ledger_seen on private.message_ledger using brin (seen_at) with (autosummarize = on);

create table public.integration_metrics (
  integration_id uuid not null,
  minute timestamptz not null,
  organization_id uuid not null,
  received bigint not null default 0,
  stored bigint not null default 0,
  duplicates bigint not null default 0,
  failed bigint not null default 0,
  primary key (integration_id, minute),
  constraint nothing_is_lost check (received = stored + duplicates + failed)
) with (fillfactor = 60);
comment on table public.integration_metrics is
  'Messages per integration and minute. failed ones are kept with raw and error; received = stored + duplicates + failed, always.';
create index integration_metrics_organization on public.integration_metrics (organization_id, minute desc);

alter table public.integration_metrics enable row level security;
revoke all on public.integration_metrics from anon, authenticated;
grant select on public.integration_metrics to authenticated;
grant select, insert, update, delete on public.integration_metrics to service_role;

create policy "Members read their metrics" on public.integration_metrics
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function public.prune_messages(p_retention_days integer default 90, p_limit integer default 20000)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_partition record;
  v_dropped integer := 0;
  v_forgotten integer;
begin
  for v_day in 0..3 loop
    perform private.make_message_partition((now() at time zone 'UTC')::date + v_day);
  end loop;
  for v_partition in
    select c.relname from pg_catalog.pg_inherits h join pg_catalog.pg_class c on c.oid = h.inhrelid
     where h.inhparent = 'public.device_messages'::regclass
       and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'UTC')::date - p_retention_days
  loop
    execute format('drop table private.%I', v_partition.relname);
    v_dropped := v_dropped + 1;
  end loop;
  delete from private.message_ledger
   where ctid = any (array(
     select l.ctid from private.message_ledger l
      where l.seen_at < now() - interval '7 days'
      limit p_limit for update skip locked));
  get diagnostics v_forgotten = row_count;
  return jsonb_build_object('partitions_dropped', v_dropped, 'ids_forgotten', v_forgotten);
end
$$;
comment on function public.prune_messages is
  'Maintenance: makes the partitions of the next days, drops those past retention, forgets event ids after 7 days, in batches.';
revoke execute on function private.make_message_partition from public;
revoke execute on function public.prune_messages from public, anon, authenticated;
grant execute on function public.prune_messages to service_role;

create function private.erase_organization() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.device_messages where organization_id = old.id;
  delete from public.integration_metrics where organization_id = old.id;
  return null;
end
$$;
comment on function private.erase_organization is 'Takes along what has no foreign key to the organization.';
revoke execute on function private.erase_organization from public;
create trigger erase_organization after delete on public.organizations
  for each row execute function private.erase_organization();
