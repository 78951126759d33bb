-- Organizations that people start, join by their own consent, and leave. A platform that keeps its own membership leaves this file
-- out: docs/keep-yours.md.

create table private.options (
  name text primary key,
  value boolean not null,
  says text not null
);
comment on table private.options is 'What the operator allows: `update private.options set value = false where name = …`. ALLOW_CREATE_ORGANIZATION is a row here, for no caller may have a say in it.';
comment on column private.options.says is 'What it allows.';
alter table private.options enable row level security;
insert into private.options (name, value, says) values
  ('allow_create_organization', true, 'Whoever is signed in, and not anonymously, may start organizations of their own.');
insert into private.quotas (bound, most) values ('organizations', 10);

create table public.organization_invitations (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  email text not null check (length(email) <= 320 and email ~ '^[^@[:space:]]+@[^@[:space:]]+$' and email = lower(email collate "C")),
  role text not null check (role in ('viewer', 'member', 'admin', 'owner')),
  invited_by uuid not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null default now() + interval '7 days',
  unique (organization_id, email)
);
create index organization_invitations_email on public.organization_invitations (email);
create index organization_invitations_ended on public.organization_invitations (expires_at);
comment on table public.organization_invitations is 'Who is asked to belong, and as what. Nobody belongs to an organization who has not accepted.';
comment on column public.organization_invitations.id is 'What accept_invitation takes, from the one account that has this address confirmed.';
comment on column public.organization_invitations.invited_by is 'Who must still have the right to invite when it is accepted.';

create function private.find_email(p_user_id uuid) returns text
language plpgsql stable security definer set search_path = ''
as $$
begin
  -- Of ASCII letters alone: in Unicode the Kelvin sign is a k too, and whoever has that address is somebody else.
  return (select lower(u.email collate "C") from auth.users u where u.id = p_user_id and u.email_confirmed_at is not null);
end
$$;
comment on function private.find_email is 'The address of an account, where it is confirmed.';

create function private.own_email() returns text
language sql stable security definer set search_path = ''
as $$ select private.find_email(auth.uid()) $$;
comment on function private.own_email is 'The caller''s address, where it is confirmed.';

alter table public.organization_invitations enable row level security;
create policy "Admins see whom they invited" on public.organization_invitations
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));
create policy "The invited see their invitations" on public.organization_invitations
  for select to authenticated
  using (email = (select private.own_email()));
create policy "Admins take invitations back" on public.organization_invitations
  for delete to authenticated
  using (organization_id = any (array(select private.org_ids('admin'))));
create policy "The invited decline" on public.organization_invitations
  for delete to authenticated
  using (email = (select private.own_email()));
create trigger charge_statement before delete on public.organization_invitations
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();

create function private.hold_ownership() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_most bigint := private.read_quota(null, 'organizations');
begin
  perform pg_advisory_xact_lock(hashtext('private.quotas organizations'), hashtext(new.user_id::text));
  if (select count(*) from public.organization_members m where m.user_id = new.user_id and m.role = 'owner') > v_most then
    raise exception 'An account may own % organizations here, and this one has no room for more. Leave or delete one, or ask the operator of this platform to raise the bound.',
      v_most
      using errcode = 'PT409', hint = 'quota_exceeded', detail = jsonb_build_object('bound', 'organizations', 'most', v_most)::text;
  end if;
  return null;
end
$$;
comment on function private.hold_ownership is 'Holds an account to how many organizations it may own, however it came to them.';
create trigger hold_ownership after insert or update of role on public.organization_members
  for each row when (new.role = 'owner' and private.is_user()) execute function private.hold_ownership();

create function private.forget_invitations() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  delete from public.organization_invitations i
   where i.organization_id = old.organization_id
     and (i.invited_by = old.user_id or i.email = private.find_email(old.user_id));
  return null;
end
$$;
comment on function private.forget_invitations is
  'Whoever belongs no more has no invitation left to come back with, and none of those they sent counts.';
create trigger forget_invitations after delete on public.organization_members
  for each row execute function private.forget_invitations();

create function public.create_organization(name text) returns public.organizations
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_name text := btrim(create_organization.name);
  v_made public.organizations;
begin
  if auth.uid() is null or (auth.jwt() ->> 'is_anonymous')::boolean is true
     or (select o.value from private.options o where o.name = 'allow_create_organization') is not true then
    raise exception 'Organizations are not started here by this account; ask the operator of this platform.' using errcode = '42501';
  end if;
  if length(v_name) between 1 and 200 is not true then
    raise exception 'name: expected 1 to 200 characters.' using errcode = '22023';
  end if;
  perform private.charge('invite', null);
  insert into public.organizations (name) values (v_name) returning * into v_made;
  insert into public.organization_members (organization_id, user_id, role) values (v_made.id, auth.uid(), 'owner');
  return v_made;
end
$$;
comment on function public.create_organization is
  'Starts an organization whose owner is the caller: {name} → the organization. 42501 where the operator does not allow it, or for anonymous '
  'accounts; PT409 quota_exceeded beyond what an account may own.';

create function public.invite_member(organization_id uuid, email text, role text) returns public.organization_invitations
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_organization_id uuid := invite_member.organization_id;
  v_made public.organization_invitations;
  v_email text := lower(btrim(invite_member.email) collate "C");
begin
  perform public.require_role(v_organization_id, case when invite_member.role = 'owner' then 'owner' else 'admin' end);
  if private.role_rank(invite_member.role) is null then
    raise exception 'role: expected viewer, member, admin or owner.' using errcode = '22023';
  end if;
  if (length(v_email) <= 320 and v_email ~ '^[^@[:space:]]+@[^@[:space:]]+$') is not true then
    raise exception 'email: expected one address, such as name@example.com.' using errcode = '22023';
  end if;
  perform private.charge('invite', v_organization_id);
  insert into public.organization_invitations as i (organization_id, email, role, invited_by)
  values (v_organization_id, v_email, invite_member.role, auth.uid())
  on conflict (organization_id, email) do update
    set id = gen_random_uuid(), role = excluded.role, invited_by = excluded.invited_by, created_at = now(), expires_at = excluded.expires_at
  returning i.* into v_made;
  perform private.require_quota(v_organization_id, 'invitations');
  return v_made;
end
$$;
comment on function public.invite_member is
  'For admins, for owners to make owners: {organization_id, email, role} → the invitation, whose id is for whoever has that address. It takes '
  'the place of an earlier one, ends after 7 days, and says nothing of whether there is such an account. 42501 below the role, PT404 for strangers.';

create function public.accept_invitation(id uuid) returns public.organization_members
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_invitation public.organization_invitations;
  v_made public.organization_members;
begin
  perform private.charge('invite', null);
  -- Held until the end: whoever ends the organization meanwhile waits and then finds the new member, or was first and is seen here.
  perform from public.organizations o
   where o.id = (select i.organization_id from public.organization_invitations i where i.id = accept_invitation.id)
     for key share;
  delete from public.organization_invitations i
   where i.id = accept_invitation.id and i.email = private.own_email() and i.expires_at > now()
     -- Whoever invited must still be one who may.
     and private.role_rank(private.find_role(i.organization_id, i.invited_by))
         >= private.role_rank(case i.role when 'owner' then 'owner' else 'admin' end)
     and not exists (select from private.ended_organizations e where e.organization_id = i.organization_id)
  returning i.* into v_invitation;
  if not found then
    raise exception 'There is no such invitation for your address, or it has ended. Ask for a new one.' using errcode = 'PT404';
  end if;
  insert into public.organization_members (organization_id, user_id, role)
  values (v_invitation.organization_id, auth.uid(), v_invitation.role)
  on conflict do nothing;
  select m.* into v_made from public.organization_members m
   where m.organization_id = v_invitation.organization_id and m.user_id = auth.uid();
  return v_made;
end
$$;
comment on function public.accept_invitation is
  'The caller joins, where the invitation is to their confirmed address: {id} → their membership. Who belongs already stays what they are. '
  'PT404 for every other invitation, in the same words.';

create function public.list_invitations()
returns table (id uuid, organization_id uuid, organization_name text, role text, expires_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  return query
    select i.id, i.organization_id, o.name, i.role, i.expires_at
      from public.organization_invitations i join public.organizations o on o.id = i.organization_id
     where i.email = private.own_email() and i.expires_at > now()
       and not exists (select from private.ended_organizations e where e.organization_id = i.organization_id)
     order by i.created_at desc, i.id
     limit 100;
end
$$;
comment on function public.list_invitations is 'The invitations to the caller''s confirmed address, with the names of organizations they can''t see yet.';

create function public.leave_organization(organization_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
begin
  perform private.charge('invite', null);
  delete from public.organization_members m
   where m.organization_id = leave_organization.organization_id and m.user_id = auth.uid();
  if not found then
    raise exception 'You do not belong to such an organization.' using errcode = 'PT404';
  end if;
  set constraints public.keep_an_owner immediate;
end
$$;
comment on function public.leave_organization is '{organization_id}: the caller belongs to it no more; 23514 for its last owner.';

create function public.delete_organization(organization_id uuid) returns void
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_organization_id uuid := delete_organization.organization_id;
begin
  perform public.require_role(v_organization_id, 'owner');
  perform private.charge('invite', v_organization_id);
  perform private.end_organization(v_organization_id);
end
$$;
comment on function public.delete_organization is
  'For owners: {organization_id} is over at once, for all members; maintenance erases what it had, in batches.';

revoke all on private.options, public.organization_invitations from public, anon, authenticated, service_role;
revoke execute on function private.find_email, private.own_email, private.hold_ownership, private.forget_invitations,
  public.create_organization, public.invite_member, public.accept_invitation, public.list_invitations, public.leave_organization, public.delete_organization
  from public, anon, authenticated, service_role;
