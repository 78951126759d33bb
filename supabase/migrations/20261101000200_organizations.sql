-- The tenants. A platform that has its own table of this name leaves this file out: docs/keep-yours.md.

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(name) <= 200 and length(btrim(name)) > 0),
  created_at timestamptz not null default now()
);
comment on table public.organizations is 'The tenants. Everything else belongs to exactly one.';
alter table public.organizations enable row level security;
create policy "Members see their organizations" on public.organizations
  for select to authenticated
  using (id = any (array(select private.org_ids('viewer'))));
create policy "Owners rename their organization" on public.organizations
  for update to authenticated
  using (id = any (array(select private.org_ids('viewer'))))
  with check (id = any (array(select private.org_ids('owner'))));

create trigger charge_statement before update on public.organizations
  for each statement when (current_user = 'authenticated') execute function private.charge_statement();

revoke all on public.organizations from public, anon, authenticated, service_role;
