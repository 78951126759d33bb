-- Whose turn it is to send: who was served longest ago comes first, and nobody waits for more than one turn of each other.

create table private.delivery_turns (
  organization_id uuid primary key,
  served_at timestamptz not null default '-infinity',
  blocked_until timestamptz not null default '-infinity'
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
comment on table private.delivery_turns is
  'When each organization had its last turn: who was served longest ago comes first, so that nobody waits for more than one turn of each '
  'other. Made when first leased for; whoever leases holds the rows of those it looks at.';
comment on column private.delivery_turns.blocked_until is
  'Nothing of it could go out when it was last looked at; until then others are looked at before it.';
alter table private.delivery_turns enable row level security;

create function private.list_line(p_shares jsonb) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
  -- From each organization to the next, one step along the index whatever waits behind it: nothing has to be kept that could be wrong.
  with recursive organizations as (
    (select d.organization_id as id from public.webhook_deliveries d where d.stage is not null
      order by d.organization_id, d.integration_id, d.stage, d.due_at limit 1)
    union all
    select (select d.organization_id from public.webhook_deliveries d where d.stage is not null and d.organization_id > o.id
             order by d.organization_id, d.integration_id, d.stage, d.due_at limit 1)
      from organizations o
     where o.id is not null
  )
  select o.id
    from organizations o left join private.delivery_turns t on t.organization_id = o.id
   where o.id is not null and private.read_share(p_shares, o.id, 1) > 0
     and not exists (select from private.ended_organizations e where e.organization_id = o.id)
   order by t.blocked_until > clock_timestamp() nulls first, t.served_at nulls first);
end
$$;
comment on function private.list_line is
  'Organizations that have something open, those first that were served longest ago; without those whose share of the process is used up, '
  'and those that have ended.';

create function private.take_places(p_organization_ids uuid[]) returns uuid[]
language plpgsql volatile set search_path = ''
as $$
begin
  insert into private.delivery_turns (organization_id)
  select o.id from unnest(p_organization_ids) o(id)
   where not exists (select from private.delivery_turns t where t.organization_id = o.id)
   order by o.id
  on conflict do nothing;
  return array(
    select t.organization_id
      from unnest(p_organization_ids) with ordinality o(id, n) join private.delivery_turns t on t.organization_id = o.id
     order by o.n
       for no key update of t skip locked);
end
$$;
comment on function private.take_places is 'Those of the organizations, in the order given, that no other dispatcher is leasing for just now, locked.';

create function private.list_queues(p_organization_ids uuid[], p_each integer) returns uuid[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
  with recursive queues as (
    select o.id as organization_id, 1 as n, (
             select d.integration_id from public.webhook_deliveries d
              where d.organization_id = o.id and d.stage is not null
              order by d.integration_id, d.stage, d.due_at limit 1) as id
      from unnest(p_organization_ids) o(id)
    union all
    select q.organization_id, q.n + 1, (
             select d.integration_id from public.webhook_deliveries d
              where d.organization_id = q.organization_id and d.stage is not null and d.integration_id > q.id
              order by d.integration_id, d.stage, d.due_at limit 1)
      from queues q
     where q.id is not null and q.n < 1000
  )
  select s.id
    -- By chance where they are more: none is passed over for its id.
    from (select q.id, row_number() over (partition by q.organization_id order by random()) as n from queues q where q.id is not null) s
   where s.n <= p_each);
end
$$;
comment on function private.list_queues is 'Webhooks of the organizations that have something open, up to p_each of one: one step along the index each.';

create function private.end_turn(p_looked uuid[], p_served uuid[], p_is_full boolean) returns void
language plpgsql volatile set search_path = '' -- its plans are kept, which those of a SQL function are not
as $$
begin
  update private.delivery_turns
     set served_at = clock_timestamp(),
         blocked_until = case when organization_id = any (p_served) then '-infinity' else clock_timestamp() + interval '250 milliseconds' end
   where organization_id = any (case when p_is_full then p_served else p_looked end);
end
$$;
comment on function private.end_turn is
  'Who was served goes to the end of the line, and so does who had nothing that could go out. Who was cut off keeps the place.';

revoke all on private.delivery_turns from public, anon, authenticated, service_role;
revoke execute on function private.list_line, private.take_places, private.list_queues, private.end_turn
  from public, anon, authenticated, service_role;
