-- What happened: sessions, gaps, errors, tests. The log an admin reads before asking anybody.

create table public.integration_activity (
  id bigint generated always as identity primary key,
  organization_id uuid not null references public.organizations (id) on delete cascade,
  integration_id uuid not null,
  kind text not null check (kind ~ '^[a-z_.]{1,40}$'),
  level text not null default 'info' check (level in ('info', 'warning', 'error')),
  message text not null check (length(message) <= 2000),
  details jsonb not null default '{}',
  created_at timestamptz not null default now()
);
comment on table public.integration_activity is 'What happened on an integration; outlives it. Never holds a secret.';
create index integration_activity_integration on public.integration_activity (integration_id, created_at desc, id desc);
create index integration_activity_organization on public.integration_activity (organization_id, created_at desc);

alter table public.integration_activity enable row level security;
revoke all on public.integration_activity from anon, authenticated;
grant select on public.integration_activity to authenticated;
grant select, insert, update, delete on public.integration_activity to service_role;

create policy "Members read the activity" on public.integration_activity
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));
