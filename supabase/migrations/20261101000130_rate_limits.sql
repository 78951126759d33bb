-- Rate limits that hold across instances: token buckets of users, organizations and integrations, refilled over a minute.
-- How large they are is for the operator to say, here, and never for a caller: `update private.budgets set per_minute = …`.

create table private.budgets (
  organization_id uuid,
  budget text not null check (budget in ('write', 'test', 'command', 'receive', 'change', 'audit', 'invite')),
  whose text not null check (whose in ('user', 'organization', 'integration')),
  per_minute integer not null check (per_minute >= 0),
  unique nulls not distinct (budget, whose, organization_id)
);
comment on table private.budgets is 'How many tokens a minute each kind of call has; 0 for no limit.';
comment on column private.budgets.organization_id is 'For which organization; null for all that have no row of their own.';
comment on column private.budgets.budget is
  'write: creating, changing and deleting through the API; test: connection tests; command: commands, one token for each 4 KB; receive: '
  'proven requests of one integration; change: whatever else people change, by function or past the API; audit: kilobytes of the audit '
  'log; invite: invitations and new organizations.';
comment on column private.budgets.whose is 'Whose bucket: each user''s own, one of an organization, one of an integration.';
alter table private.budgets enable row level security;

insert into private.budgets (budget, whose, per_minute) values
  ('write', 'user', 600), ('write', 'organization', 1200),
  ('test', 'user', 60), ('test', 'organization', 120),
  ('command', 'user', 600), ('command', 'organization', 1200),
  ('receive', 'integration', 6000),
  ('change', 'user', 600), ('change', 'organization', 2400),
  ('audit', 'user', 1024),
  ('invite', 'user', 20), ('invite', 'organization', 60);

create unlogged table private.rate_limits (
  subject uuid not null,
  budget text not null,
  full_at timestamptz not null,
  primary key (subject, budget)
) with (fillfactor = 50);
comment on table private.rate_limits is
  'The buckets. Unlogged: a crash of the database fills them, which harms nobody. In private, so that nobody refills their own.';
comment on column private.rate_limits.subject is 'A user, an organization or an integration.';
comment on column private.rate_limits.budget is 'Which of its buckets.';
comment on column private.rate_limits.full_at is
  'When the bucket is full again: each token taken puts it off by a minute divided by the limit, to a minute from now at most.';
alter table private.rate_limits enable row level security;

create function private.read_budget(p_organization_id uuid, p_budget text, p_whose text) returns integer
language plpgsql stable security definer set search_path = ''
as $$
begin
  -- A million a minute is no limit, and keeps the step above a microsecond.
  return (
    select nullif(least(b.per_minute, 1000000), 0) from private.budgets b
     where b.budget = p_budget and b.whose = p_whose and (b.organization_id = p_organization_id or b.organization_id is null)
     order by b.organization_id nulls last
     limit 1);
end
$$;
comment on function private.read_budget is 'Tokens a minute; null for no limit.';

create function private.take_token(p_subject uuid, p_budget text, p_limit integer, p_tokens integer default 1) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_step interval := interval '1 minute' / p_limit;
  -- What is larger than a bucket takes a full one.
  v_taken interval := least(greatest(p_tokens, 1), p_limit) * v_step;
  v_full_at timestamptz;
  v_allowed boolean;
  v_left double precision;
begin
  loop
    update private.rate_limits r
       set full_at = greatest(r.full_at, clock_timestamp()) + v_taken
     where r.subject = p_subject and r.budget = p_budget
       and greatest(r.full_at, clock_timestamp()) + v_taken <= clock_timestamp() + interval '1 minute 1 millisecond'
    returning r.full_at into v_full_at;
    v_allowed := found;
    exit when found;

    insert into private.rate_limits as r (subject, budget, full_at)
    values (p_subject, p_budget, clock_timestamp() + v_taken)
    on conflict do nothing
    returning r.full_at into v_full_at;
    v_allowed := found;
    exit when found;

    -- Not changed and not absent: empty, unless another call has just made the bucket.
    select r.full_at into v_full_at from private.rate_limits r where r.subject = p_subject and r.budget = p_budget;
    exit when v_full_at + v_taken > clock_timestamp() + interval '1 minute';
  end loop;

  v_left := greatest(0, extract(epoch from clock_timestamp() + interval '1 minute' - v_full_at) / extract(epoch from v_step));
  return jsonb_build_object(
    'limit', p_limit, 'allowed', v_allowed, 'remaining', floor(v_left)::integer,
    'seconds', case
      when v_allowed then ceil((1 - (v_left - floor(v_left))) * extract(epoch from v_step))
      else ceil(greatest(0, extract(epoch from v_full_at + v_taken - interval '1 minute' - clock_timestamp()))) end::integer);
end
$$;
comment on function private.take_token is
  'Takes tokens where there are so many: {limit, allowed, remaining, seconds}, seconds being the wait until there are more, or enough.';

create function private.take_policies(p_budget text, p_organization_id uuid, p_tokens integer) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_of_user integer := private.read_budget(p_organization_id, p_budget, 'user');
  v_of_all integer := private.read_budget(p_organization_id, p_budget, 'organization');
  v_policies jsonb := '{}';
begin
  if v_of_user is not null then
    v_policies := jsonb_build_object('user', private.take_token(auth.uid(), p_budget, v_of_user, p_tokens));
  end if;
  if v_of_all is not null and p_organization_id is not null and (v_policies #>> '{user,allowed}') is distinct from 'false' then
    -- What is larger than the user's bucket took that whole, and takes no more of what all share.
    v_policies := v_policies || jsonb_build_object(
      'organization', private.take_token(p_organization_id, p_budget, v_of_all, least(p_tokens, coalesce(v_of_user, p_tokens))));
  end if;
  return v_policies;
end
$$;
comment on function private.take_policies is
  'Takes tokens of the caller, then as many of the organization: {user?, organization?}, each as take_token says. Nobody takes more of '
  'what all share than of their own.';

create function public.take_tokens(
  p_budget text, p_organization_id uuid default null, p_integration_id uuid default null, p_tokens integer default 1
) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid;
  v_policies jsonb;
begin
  if p_budget not in ('write', 'test', 'command') then
    raise exception 'p_budget is write, test or command.' using errcode = '22023';
  end if;
  select o into v_organization_id
    from private.org_ids(case p_budget when 'command' then 'member' else 'admin' end) o
   where o = coalesce(
           p_organization_id, (select i.organization_id from public.device_integrations i where i.id = p_integration_id));
  v_policies := private.take_policies(p_budget, v_organization_id, p_tokens);
  return jsonb_build_object(
    'allowed', not (v_policies @> '{"user": {"allowed": false}}' or v_policies @> '{"organization": {"allowed": false}}'),
    'policies', v_policies);
end
$$;
comment on function public.take_tokens is
  'Takes tokens of write, test or command from the caller''s own bucket, then from the organization''s: {allowed, policies: {user?, '
  'organization?: {limit, allowed, remaining, seconds}}}. Neither how large they are nor whom it charges is for the caller to say: '
  'private.budgets, auth.uid(), and only an organization in which the caller may make such calls.';

create function private.charge(p_budget text, p_organization_id uuid, p_tokens integer default 1) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_policies jsonb;
  v_policy jsonb;
begin
  if not private.is_user() then
    return;
  end if;
  v_policies := private.take_policies(p_budget, p_organization_id, p_tokens);
  v_policy := coalesce(v_policies -> 'organization', v_policies -> 'user');
  if (v_policy ->> 'allowed')::boolean is false then
    raise exception 'More than % a minute (%); try again in % s.', v_policy ->> 'limit', p_budget, greatest(1, (v_policy ->> 'seconds')::integer)
      using errcode = 'PT429', hint = 'rate_limited', detail = v_policy::text;
  end if;
end
$$;
comment on function private.charge is
  'Takes tokens of a user and of the organization; PT429 rate_limited where there are not so many, and then nothing of the call is done. '
  'The service is not charged.';

create function private.charge_statement() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  perform private.charge('change', null);
  return null;
end
$$;
comment on function private.charge_statement is 'A statement past the API takes a token of whoever sends it.';

revoke all on private.budgets, private.rate_limits from public, anon, authenticated, service_role;
revoke execute on function private.read_budget, private.take_token, private.take_policies, public.take_tokens, private.charge, private.charge_statement
  from public, anon, authenticated, service_role;
