-- What happened: sessions, gaps, errors, tests. The log an admin reads before asking anybody.

create table public.integration_activity (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
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
create index integration_activity_age on public.integration_activity using brin (created_at) with (autosummarize = on);

alter table public.integration_activity enable row level security;
create policy "Members read the activity" on public.integration_activity
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.log_queue_change(p_integration_id uuid, p_kind text, p_message text, p_details jsonb) returns void
language sql volatile set search_path = ''
as $$
  insert into public.integration_activity (organization_id, integration_id, kind, message, details)
  select i.organization_id, i.id, p_kind, p_message,
         jsonb_strip_nulls(p_details) || jsonb_build_object('user_id', (select auth.uid()))
    from public.device_integrations i
   where i.id = p_integration_id
$$;
comment on function private.log_queue_change is 'Writes down who changed the queue, and what of it.';

create function public.record_test(p_integration_id uuid, p_failed text default null) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := (
    select i.organization_id from public.device_integrations i
     where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('admin'))));
begin
  if v_organization_id is null then
    raise exception 'There is no such integration here, or it is not yours to test.' using errcode = 'PT404';
  end if;
  perform private.charge('change', v_organization_id);
  -- The name of a step and nothing else, so that nobody writes a text of their own into the log.
  if p_failed !~ '^[a-z][a-z0-9_ ]{0,39}$' then
    raise exception 'p_failed is the name of a step.' using errcode = '22023';
  end if;
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  values (
    v_organization_id, p_integration_id, 'test', case when p_failed is null then 'info' else 'warning' end,
    coalesce('A connection test failed at the step ' || p_failed || '.', 'A connection test passed.'),
    jsonb_build_object('ok', p_failed is null, 'failed', p_failed, 'user_id', auth.uid()));
end
$$;
comment on function public.record_test is
  'For the integrations function: what came of a test of a saved integration; p_failed names the first step that failed, if any.';

revoke all on public.integration_activity from public, anon, authenticated, service_role;
revoke all on sequence public.integration_activity_id_seq from public, anon, authenticated, service_role;
revoke execute on function private.log_queue_change, public.record_test from public, anon, authenticated,
  service_role;
