-- Whose turn it is: one order for all that is leased, organizations first and then their integrations.

create type private.waiting as (id uuid, organization_id uuid, integration_id uuid, due_at timestamptz);
comment on type private.waiting is 'Something that is due, and whose it is.';

create function private.read_share(p_shares jsonb, p_organization_id uuid, p_most integer) returns integer
language sql immutable parallel safe set search_path = ''
as $$
  select coalesce((p_shares -> 'of' ->> p_organization_id::text)::integer, (p_shares ->> 'each')::integer, p_most)
$$;
comment on function private.read_share is
  'How many more of an organization a process has places for: {each, of: {organization: n}}, as shared/runtime/shares.py says them.';

create function private.take_turns(
  p_waiting private.waiting[], p_held jsonb, p_of_integration integer, p_shares jsonb, p_most integer
)
returns uuid[]
language plpgsql stable set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return array(
    select o.id
      from (
        select i.*, coalesce((p_held ->> i.organization_id::text)::integer, 0) as held,
               row_number() over (partition by i.organization_id order by i.turn, i.due_at) as n
          from (
            select w.*, coalesce((p_held ->> w.integration_id::text)::integer, 0)
                     + row_number() over (partition by w.organization_id, w.integration_id order by w.due_at) as turn
              from unnest(p_waiting) w) i
         where i.turn <= p_of_integration) o
     where o.n <= private.read_share(p_shares, o.organization_id, p_most)
     order by o.held + o.n, o.due_at
     limit p_most);
end
$$;
comment on function private.take_turns is
  'The fair order of what waits: who has least under way comes first, organizations before their integrations, then who waits longest. '
  'p_held counts what is under way, by organization and by integration; p_of_integration is how much of one may be.';

create function private.count_bytes(p_settings jsonb, p_sent text, p_kept text) returns integer
language sql immutable parallel safe set search_path = ''
as $$ select octet_length(p_settings::text) + coalesce(octet_length(p_sent), 0) + coalesce(octet_length(p_kept), 0) $$;
comment on function private.count_bytes is 'How large a config is where it is handed out: leases are bounded by it, so that whoever asked can take them.';

create function private.show_integrations(p_integration_ids uuid[]) returns json
language plpgsql stable set search_path = '' -- its plans are kept, which those of a SQL function are not
as $$
begin
  -- Each on a line of its own: where one can't be read, the others can.
  return (
    select (E'{\n' || coalesce(string_agg('"' || i.id || '": ' || to_json(i)::text, E',\n'), '') || E'\n}')::json
      from private.sealed_integrations i
     where i.id = any (p_integration_ids));
end
$$;
comment on function private.show_integrations is 'The sealed configs of integrations, by id.';

revoke execute on function private.show_integrations, private.read_share, private.take_turns, private.count_bytes from public, anon, authenticated, service_role;
