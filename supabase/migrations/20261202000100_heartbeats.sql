-- The heartbeat: when each part of a tick or worker last had an answer of the database. A scheduler that stopped can't say so itself.

create table private.heartbeats (
  part text primary key check (part ~ '^[a-z]{1,40}$'),
  seen_at timestamptz not null
);
comment on table private.heartbeats is 'When each part of a tick or worker was last seen at work, whichever process it was in.';
alter table private.heartbeats enable row level security;

create table private.clocks (
  one boolean primary key default true check (one),
  skew double precision not null,
  seen_at timestamptz not null
);
comment on table private.clocks is 'How many seconds the clock of a worker was off that of the database, the most of the last ten minutes.';
alter table private.clocks enable row level security;

create function public.record_heartbeat(p_parts jsonb default '{}', p_at double precision default null) returns jsonb
language sql volatile set search_path = ''
as $$
  insert into private.clocks (skew, seen_at) select abs(extract(epoch from clock_timestamp()) - p_at), now() where p_at is not null
  on conflict (one) do update set skew = excluded.skew, seen_at = excluded.seen_at
    where excluded.skew >= private.clocks.skew or private.clocks.seen_at < now() - interval '10 minutes';
  -- By name, so that two processes never wait for each other in a circle.
  insert into private.heartbeats as h (part, seen_at)
  select p.key, now() - coalesce(p.value::double precision, 0) * interval '1 second' from jsonb_each_text(p_parts) p order by p.key
  -- That it was begun is no sign that it works: a tick may end before that shows.
  on conflict (part) do update set seen_at = excluded.seen_at where h.seen_at < excluded.seen_at and p_parts ->> h.part is not null;
  select coalesce(jsonb_agg(h.part order by h.part), '[]') from private.heartbeats h
   where p_parts ? h.part and h.seen_at < now() - interval '4 minutes'
$$;
comment on function public.record_heartbeat is
  'Says how many seconds ago each part of a tick was at work: {part: seconds}, null of one that has had no answer yet, and what time it is there '
  '(seconds since 1970). Which of them have stood still for 4 minutes, in whichever tick: [part].';

create function private.scheduler_seen_at(p_part text) returns timestamptz
language sql stable security definer set search_path = ''
as $$ select coalesce(max(h.seen_at) filter (where h.part = p_part), max(h.seen_at)) from private.heartbeats h $$;
comment on function private.scheduler_seen_at is
  'When this part of a tick or worker was last at work; of one that was never seen, when any was; null where none ever was.';

create function private.show_scheduler() returns json
language sql stable security definer set search_path = ''
as $$
  select json_build_object(
    'state', case
      when max(h.seen_at) is null then 'never'
      when max(h.seen_at) < now() - interval '4 minutes' then 'silent'
      when min(h.seen_at) < now() - interval '4 minutes' then 'partial'
      else 'running'
    end,
    'last_seen_at', max(h.seen_at),
    'parts', coalesce(json_object_agg(h.part, h.seen_at order by h.part) filter (where h.part is not null), '{}'))
    from private.heartbeats h
$$;
comment on function private.show_scheduler is
  'Whether anybody looks for what is due: running, partial where a part was not at work for 4 minutes, silent where none was, never.';

create function public.read_scheduler() returns json
language sql stable security definer set search_path = ''
as $$ select private.show_scheduler() where exists (select from private.org_ids('viewer')) $$;
comment on function public.read_scheduler is
  'For members of any organization: {state, last_seen_at, parts: {name: when}} of the scheduler. state is running, partial, silent (for 4 minutes) or never.';

revoke all on private.heartbeats, private.clocks from public, anon, authenticated, service_role;
revoke execute on function public.record_heartbeat, private.scheduler_seen_at, private.show_scheduler, public.read_scheduler
  from public, anon, authenticated, service_role;
