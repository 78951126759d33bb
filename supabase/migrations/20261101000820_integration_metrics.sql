-- Messages counted: what was received is what was stored, what came twice and what failed, always.

create table public.integration_metrics (
  integration_id uuid not null,
  minute timestamptz not null,
  organization_id uuid not null,
  received bigint not null default 0,
  stored bigint not null default 0,
  duplicates bigint not null default 0,
  failed bigint not null default 0,
  primary key (integration_id, organization_id, minute),
  constraint nothing_is_lost check (received = stored + duplicates + failed)
) with (fillfactor = 60);
comment on table public.integration_metrics is
  'Messages per integration and minute. failed ones are kept with raw and error; received = stored + duplicates + failed, always.';
create index integration_metrics_organization on public.integration_metrics (organization_id, minute desc);
create index integration_metrics_age on public.integration_metrics using brin (minute) with (autosummarize = on);

alter table public.integration_metrics enable row level security;
create policy "Members read their metrics" on public.integration_metrics
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

revoke all on public.integration_metrics from public, anon, authenticated, service_role;
