-- Who belongs to which organization. A platform that keeps its own membership leaves this file out: docs/keep-yours.md.

create table public.organization_members (
  organization_id uuid not null references public.organizations (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null check (role in ('viewer', 'member', 'admin', 'owner')),
  created_at timestamptz not null default now(),
  primary key (user_id, organization_id)
);
comment on table public.organization_members is 'Who belongs to which organization, and as what: viewer < member < admin < owner.';
create index organization_members_organization on public.organization_members (organization_id);

alter table public.organization_members enable row level security;
create policy "Members see who else belongs" on public.organization_members
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
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
declare
  v_successor uuid;
begin
  -- One after the other: of two owners who leave at once the second sees that the first is gone.
  perform from public.organizations o where o.id = old.organization_id for no key update;
  if not found
     or exists (select from private.ended_organizations e where e.organization_id = old.organization_id)
     or exists (select from public.organization_members m where m.organization_id = old.organization_id and m.role = 'owner') then
    return null;
  end if;
  if exists (select from auth.users u where u.id = old.user_id) then
    raise exception 'An organization keeps at least one owner: make somebody else owner first, or delete the organization.'
      using errcode = '23514';
  end if;
  -- The account was erased, and nobody was asked: who is next in rank, and of these was there first, takes over.
  loop
    select m.user_id into v_successor
      from public.organization_members m
     where m.organization_id = old.organization_id
     order by private.role_rank(m.role) desc, m.created_at, m.user_id
     limit 1;
    if not found then
      perform private.end_organization(old.organization_id);
      return null;
    end if;
    update public.organization_members set role = 'owner' where organization_id = old.organization_id and user_id = v_successor;
    -- Not found: that one was going too, and is gone by now.
    if found then
      return null;
    end if;
  end loop;
end
$$;
comment on function private.keep_an_owner is
  'Refuses the change that would leave an organization without an owner. The last owner''s account can be erased all the same: the member '
  'next in rank becomes owner, and an organization without any member ends.';
create constraint trigger keep_an_owner
  after update of role or delete on public.organization_members
  deferrable initially deferred
  for each row when (old.role = 'owner') execute function private.keep_an_owner();

create trigger charge_statement before insert or update or delete on public.organization_members
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();
create trigger check_quota after insert on public.organization_members referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('members');

revoke all on public.organization_members from public, anon, authenticated, service_role;
revoke execute on function private.keep_an_owner from public, anon, authenticated, service_role;
