-- Ids that a caller has to know beforehand, as secrets are sealed for them, are given out by the database: to one user, for one
-- organization, and never again. So nobody takes over what was left under the id of something that is gone.

create table private.issued_ids (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null,
  user_id uuid,
  issued_at timestamptz not null default now(),
  taken_at timestamptz
);
comment on table private.issued_ids is
  'Every id an integration ever had, for ever, and those that were given out and not yet taken, for an hour. No foreign keys: it outlives all.';
comment on column private.issued_ids.user_id is 'To whom it was given out; null where the database or the service chose it.';
comment on column private.issued_ids.taken_at is 'When it was used, once. Null: not yet.';
create index issued_ids_waiting on private.issued_ids (user_id, issued_at) where taken_at is null;
create index issued_ids_organization on private.issued_ids (organization_id);

alter table private.issued_ids enable row level security;

create function public.issue_id(p_organization_id uuid) returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform public.require_role(p_organization_id, 'admin');
  perform private.charge('change', p_organization_id);
  if (select count(*) >= 1000 from private.issued_ids i where i.user_id = auth.uid() and i.taken_at is null) then
    raise exception 'You hold 1000 ids that you have not used; they are free again within an hour.' using errcode = 'PT429';
  end if;
  insert into private.issued_ids (organization_id, user_id) values (p_organization_id, auth.uid()) returning id into v_id;
  return v_id;
end
$$;
comment on function public.issue_id is
  'For the integrations function: an id for something new in the organization, to be used once, within an hour, by the admin who asked.';

create function private.require_issued(p_id uuid, p_organization_id uuid) returns void
language plpgsql stable set search_path = ''
as $$
begin
  if not exists (
       select from private.issued_ids i
        where i.id = p_id and i.organization_id = p_organization_id and i.user_id = auth.uid() and i.taken_at is null) then
    raise exception 'This id was not issued to you for this organization, or was used before.' using errcode = '22023';
  end if;
end
$$;
comment on function private.require_issued is 'Refuses an id that was not given to the caller, in the same words whatever else it may be the id of.';

create function private.redeem_id(p_id uuid, p_organization_id uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update private.issued_ids i set taken_at = now()
   where i.id = p_id and i.organization_id = p_organization_id and i.user_id = auth.uid() and i.taken_at is null;
  if not found then
    perform private.require_issued(p_id, p_organization_id);
  end if;
end
$$;
comment on function private.redeem_id is 'Uses up, once however many try, an id that was given to the caller, for what is no integration.';

create function private.take_id() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  insert into private.issued_ids as i (id, organization_id, taken_at) values (new.id, new.organization_id, now())
  on conflict (id) do update set taken_at = excluded.taken_at
    where i.organization_id = excluded.organization_id and i.user_id = auth.uid() and i.taken_at is null;
  if not found then
    raise exception 'This id was not issued to you for this organization, or was used before.' using errcode = '22023';
  end if;
  return new;
end
$$;
comment on function private.take_id is 'Uses an id up for ever: it is never that of another row.';
create trigger take_id before insert on public.device_integrations
  for each row execute function private.take_id();

revoke all on private.issued_ids from public, anon, authenticated, service_role;
revoke execute on function public.issue_id, private.require_issued, private.redeem_id, private.take_id
  from public, anon, authenticated, service_role;
