-- Which messages were stored: a message that comes again is known by its id.

create table private.message_ledger (
  integration_id uuid not null,
  organization_id uuid not null,
  event_id text not null collate "C",
  seen_at timestamptz not null default now(),
  primary key (integration_id, organization_id, event_id)
);
comment on table private.message_ledger is
  'Which event ids were stored: a message is a duplicate for as long as its id stands here, 7 days (see prune_messages).';

-- A B-tree: what a BRIN index says of a page stays as wide as it was once rows were forgotten there and others took their place.
create index message_ledger_seen on private.message_ledger (seen_at);

alter table private.message_ledger enable row level security;

create function private.remember_events(p_integration_id uuid, p_organization_id uuid, p_event_ids jsonb) returns boolean[]
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  v_fresh boolean[];
begin
  -- As nearly always nothing is repeated, without "on conflict", which descends the index twice and costs a tenth of a batch.
  insert into private.message_ledger (integration_id, organization_id, event_id)
  select p_integration_id, p_organization_id, g.event_id collate "C" from jsonb_array_elements_text(p_event_ids) g(event_id) order by 3;
  return null;
exception when unique_violation then
  with given as materialized (
    select g.event_id, g.n from jsonb_array_elements_text(p_event_ids) with ordinality g(event_id, n)
  ), remembered as (
    insert into private.message_ledger (integration_id, organization_id, event_id)
    select distinct p_integration_id, p_organization_id, g.event_id collate "C" from given g order by 3
    on conflict do nothing
    returning event_id
  )
  select array_agg(f.is_fresh order by f.n) into v_fresh
    from (
      select g.n, r.event_id is not null and g.n = min(g.n) over (partition by g.event_id) as is_fresh
        from given g left join remembered r on r.event_id = g.event_id) f;
  return v_fresh;
end
$$;
comment on function private.remember_events is
  'Remembers event ids, a JSON array: null where each is new, else of each in its place whether it is, and the first of its kind here.';

revoke all on private.message_ledger from public, anon, authenticated, service_role;
revoke execute on function private.remember_events from public, anon, authenticated, service_role;
