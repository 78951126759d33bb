-- Organizations, their members, and the one function every policy asks: which organizations may I act in?

create schema if not exists private;
comment on schema private is 'Helpers and storage that the API never exposes.';
revoke all on schema private from public;
grant usage on schema private to authenticated, service_role;

create function private.role_rank(role text) returns integer
language sql immutable parallel safe set search_path = ''
as $$ select array_position(array['viewer', 'member', 'admin', 'owner'], role) $$;
comment on function private.role_rank is 'viewer 1, member 2, admin 3, owner 4; null for anything else.';

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(btrim(name)) between 1 and 200),
  created_at timestamptz not null default now()
);
comment on table public.organizations is 'The tenants. Everything else belongs to exactly one.';

create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('viewer', 'member', 'admin', 'owner')),
  created_at timestamptz not null default now(),
  primary key (user_id, organization_id)
);
comment on table public.organization_members is 'Who belongs to which organization, and as what: viewer < member < admin < owner.';
create index organization_members_organization on public.organization_members (organization_id);

create function private.org_ids(min_role text) returns setof uuid
language sql stable security definer set search_path = ''
as $$
  select m.organization_id
    from public.organization_members m
   where m.user_id = (select auth.uid())
     and private.role_rank(m.role) >= private.role_rank(min_role)
$$;
comment on function private.org_ids is
  'The organizations in which the caller has at least this role. Policies wrap it in array(select …) so it runs once a query.';
revoke execute on function private.org_ids, private.role_rank from public;
grant execute on function private.org_ids, private.role_rank to authenticated, service_role;

create function public.require_role(p_organization_id uuid, p_role text) returns void
language plpgsql stable set search_path = ''
as $$
begin
  if not exists (select from private.org_ids('viewer') o where o = p_organization_id) then
    raise exception 'There is no such organization here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if not exists (select from private.org_ids(p_role) o where o = p_organization_id) then
    raise exception 'This needs the role % or above.', p_role using errcode = '42501';
  end if;
end
$$;
comment on function public.require_role is
  'For calls that reach outside without writing: PT404 unless the caller belongs to the organization, 42501 below the role.';
revoke execute on function public.require_role from public, anon, service_role;
grant execute on function public.require_role to authenticated;

alter table public.organizations enable row level security;
revoke all on public.organizations from anon, authenticated;
grant select on public.organizations to authenticated;
grant update (name) on public.organizations to authenticated;
grant select, insert, update, delete on public.organizations to service_role;

create policy "Members see their organizations" on public.organizations
  for select to authenticated
  using (id = any (array(select private.org_ids('viewer'))));
create policy "Owners rename their organization" on public.organizations
  for update to authenticated
  using (id = any (array(select private.org_ids('viewer'))))
  with check (id = any (array(select private.org_ids('owner'))));

alter table public.organization_members enable row level security;
revoke all on public.organization_members from anon, authenticated;
grant select, delete on public.organization_members to authenticated;
grant insert (organization_id, user_id, role), update (role) on public.organization_members to authenticated;
grant select, insert, update, delete on public.organization_members to service_role;

create policy "Members see who else belongs" on public.organization_members
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
create policy "Admins add members, owners add owners" on public.organization_members
  for insert to authenticated
  with check (
    organization_id = any (array(select private.org_ids('owner')))
    or (role <> 'owner' and organization_id = any (array(select private.org_ids('admin'))))
  );
create policy "Admins change roles below owner, owners all" on public.organization_members
  for update to authenticated
  using (
    organization_id = any (array(select private.org_ids('owner')))
    or (role <> 'owner' and organization_id = any (array(select private.org_ids('viewer'))))
  )
  with check (
    organization_id = any (array(select private.org_ids('owner')))
    or (role <> 'owner' and organization_id = any (array(select private.org_ids('admin'))))
  );
create policy "Admins remove members below owner, everyone themselves" on public.organization_members
  for delete to authenticated
  using (
    organization_id = any (array(select private.org_ids('owner')))
    or (role <> 'owner' and organization_id = any (array(select private.org_ids('admin'))))
    or user_id = (select auth.uid())
  );

create function private.keep_an_owner() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if exists (select from public.organizations where id = old.organization_id)
     and not exists (
       select from public.organization_members
        where organization_id = old.organization_id and role = 'owner'
     ) then
    raise exception 'An organization keeps at least one owner; make somebody else owner first.'
      using errcode = '23514';
  end if;
  return null;
end
$$;
comment on function private.keep_an_owner is 'Refuses the change that would leave an organization without an owner.';
create constraint trigger keep_an_owner
  after update of role or delete on public.organization_members
  deferrable initially deferred
  for each row when (old.role = 'owner') execute function private.keep_an_owner();
