-- Rate limits that hold across instances: a token bucket a user and one an organization, refilled over a minute.

create unlogged table private.rate_limits (
  subject uuid not null,
  budget text not null check (budget in ('write', 'test', 'command', 'receive')),
  full_at timestamptz not null,
  primary key (subject, budget)
) with (fillfactor = 50);
comment on table private.rate_limits is
  'The buckets. Unlogged: a crash of the database fills them, which harms nobody. In private, so that nobody refills their own.';
comment on column private.rate_limits.subject is 'A user or an organization; for receive an integration.';
comment on column private.rate_limits.full_at is
  'When the bucket is full again: each token taken puts it off by a minute divided by the limit, to a minute from now at most.';
alter table private.rate_limits enable row level security;

create function private.take_token(p_subject uuid, p_budget text, p_limit integer) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_step interval := interval '1 minute' / p_limit;
  v_full_at timestamptz;
  v_allowed boolean;
  v_left double precision;
begin
  loop
    update private.rate_limits r
       set full_at = greatest(r.full_at, clock_timestamp()) + v_step
     where r.subject = p_subject and r.budget = p_budget
       and r.full_at + v_step <= clock_timestamp() + interval '1 minute'
    returning r.full_at into v_full_at;
    v_allowed := found;
    exit when found;

    insert into private.rate_limits as r (subject, budget, full_at)
    values (p_subject, p_budget, clock_timestamp() + v_step)
    on conflict do nothing
    returning r.full_at into v_full_at;
    v_allowed := found;
    exit when found;

    -- Not changed and not absent: empty, unless another call has just made the bucket.
    select r.full_at into v_full_at from private.rate_limits r where r.subject = p_subject and r.budget = p_budget;
    exit when v_full_at + v_step > clock_timestamp() + interval '1 minute';
  end loop;

  v_left := greatest(0, extract(epoch from clock_timestamp() + interval '1 minute' - v_full_at) / extract(epoch from v_step));
  return jsonb_build_object(
    'limit', p_limit, 'allowed', v_allowed, 'remaining', floor(v_left)::integer,
    'seconds', ceil((1 - (v_left - floor(v_left))) * extract(epoch from v_step))::integer);
end
$$;
comment on function private.take_token is
  'Takes a token where there is one: {limit, allowed, remaining, seconds}, seconds being the wait until one more is there.';

create function public.take_tokens(
  p_budget text, p_limits jsonb, p_organization_id uuid default null, p_integration_id uuid default null
) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- A million a minute is no limit, and keeps the step above a microsecond.
  v_user_limit integer := least(coalesce((p_limits ->> 'user')::integer, 0), 1000000);
  v_organization_limit integer := least(coalesce((p_limits ->> 'organization')::integer, 0), 1000000);
  v_organization_id uuid;
  v_policies jsonb := '{}';
begin
  if v_user_limit > 0 then
    v_policies := jsonb_build_object('user', private.take_token(auth.uid(), p_budget, v_user_limit));
  end if;
  if v_organization_limit > 0 and (v_policies #>> '{user,allowed}') is distinct from 'false' then
    select o into v_organization_id
      from private.org_ids(case p_budget when 'command' then 'member' else 'admin' end) o
     where o = coalesce(
             p_organization_id, (select i.organization_id from public.device_integrations i where i.id = p_integration_id));
    if found then
      v_policies := v_policies || jsonb_build_object(
        'organization', private.take_token(v_organization_id, p_budget, v_organization_limit));
    end if;
  end if;
  return jsonb_build_object(
    'allowed', not (v_policies @> '{"user": {"allowed": false}}' or v_policies @> '{"organization": {"allowed": false}}'),
    'policies', v_policies);
end
$$;
comment on function public.take_tokens is
  'Takes a token from the caller''s own bucket, then one from the organization''s; limits a minute as {user, organization}, 0 or absent for none. '
  'Whom it charges is not for the caller to say: auth.uid(), and only an organization in which the caller may make such calls, '
  'so that others cannot drain it. '
  'Buckets only ever lose tokens here, whatever limits are given, so a call past the API gains nothing.';

revoke all on private.rate_limits from public, anon, authenticated, service_role;
revoke execute on function private.take_token, public.take_tokens from public, anon, authenticated, service_role;
