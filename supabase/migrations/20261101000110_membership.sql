-- The one seam to whoever knows who may do what: these functions, and no other, read the table of members.
-- A platform with a membership of its own puts its own bodies here: docs/keep-yours.md.

create function private.role_rank(role text) returns integer
language sql immutable parallel safe set search_path = ''
as $$ select array_position(array['viewer', 'member', 'admin', 'owner'], role) $$;
comment on function private.role_rank is 'viewer 1, member 2, admin 3, owner 4; null for anything else.';

create function private.org_ids(min_role text) returns setof uuid
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query
    select m.organization_id
      from public.organization_members m
     where m.user_id = (select auth.uid())
       and private.role_rank(m.role) >= private.role_rank(min_role);
end
$$;
comment on function private.org_ids is
  'The organizations in which the caller has at least this role. Policies wrap it in array(select …) so it runs once a query.';

create function private.find_role(p_organization_id uuid, p_user_id uuid) returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select m.role from public.organization_members m where m.user_id = p_user_id and m.organization_id = p_organization_id);
end
$$;
comment on function private.find_role is 'What a user is in an organization; null for who does not belong to it.';

revoke execute on function private.role_rank, private.org_ids, private.find_role
  from public, anon, authenticated, service_role;
