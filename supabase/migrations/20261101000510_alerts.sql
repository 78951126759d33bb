-- What somebody should look at: raised once, resolved when it is over.

create function private.make_code() returns text
language sql volatile set search_path = ''
as $$
  select string_agg(substr('BCDFGHJKLMNPQRSTVWXZ2456789', 1 + get_byte(b.bytes, n.n) % 27, 1), '')
    from (select uuid_send(gen_random_uuid()) as bytes) b cross join generate_series(1, 5) n(n)
$$;
comment on function private.make_code is 'Five letters and digits that can be told on the telephone: none is taken for another, and they make no words.';

create table public.alerts (
  id bigint generated always as identity primary key,
  organization_id uuid references public.organizations (id) on delete cascade,
  integration_id uuid,
  kind text not null check (kind ~ '^[a-z_.]{1,40}$'),
  level text not null default 'warning' check (level in ('warning', 'error')),
  message text not null check (length(message) <= 2000),
  details jsonb not null default '{}',
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  updated_at timestamptz not null default now(),
  acknowledged_at timestamptz,
  acknowledged_by uuid references auth.users (id) on delete set null,
  flaps integer not null default 0,
  told text check (told in ('raised', 'resolved')),
  code text not null default private.make_code() check (length(code) <= 10),
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
);
comment on table public.alerts is 'What an admin should look at; one of a kind is open at a time. Never holds a secret.';
comment on column public.alerts.organization_id is 'Whose; null of the platform itself, while private.operators names nobody.';
comment on column public.alerts.integration_id is 'Of which integration; null where it is about the organization, or the platform.';
comment on column public.alerts.updated_at is 'When what it says was last found so.';
comment on column public.alerts.flaps is 'How often it came back within ten minutes of an end. From the first time on its end is told when ten minutes were calm.';
comment on column public.alerts.code is 'What people who are told of it answer to acknowledge it.';
comment on column public.alerts.told is 'What subscribers were told of it last.';
create unique index alerts_open on public.alerts (integration_id, organization_id, kind) where resolved_at is null;
create index alerts_organization on public.alerts (organization_id, created_at desc, id desc);
create index alerts_integration on public.alerts (organization_id, integration_id, kind, resolved_at desc nulls first, id desc);
create unique index alerts_open_of_organization on public.alerts (organization_id, kind) nulls not distinct
  where resolved_at is null and integration_id is null;
create index alerts_acknowledged_by on public.alerts (acknowledged_by) where acknowledged_by is not null;
create index alerts_resolved on public.alerts (resolved_at) where resolved_at is not null;
create index alerts_untold on public.alerts (resolved_at) where told = 'raised' and resolved_at is not null;

alter table public.alerts enable row level security;
create policy "Members read the alerts" on public.alerts
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function private.raise_alert(
  p_integration_id uuid, p_kind text, p_level text, p_message text, p_details jsonb
) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  with raised as (
    insert into public.alerts (organization_id, integration_id, kind, level, message, details)
    select i.organization_id, i.id, p_kind, p_level, left(p_message, 2000), p_details
      from public.device_integrations i
     where i.id = p_integration_id
    on conflict (integration_id, organization_id, kind) where resolved_at is null do nothing
    returning organization_id, integration_id, kind, level, message, details
  )
  insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
  select r.* from raised r;
end
$$;
comment on function private.raise_alert is 'Raises an alert and logs it as activity, unless one of its kind is open already.';

create function private.resolve_alerts(p_integration_id uuid, p_message text, p_kept text default '') returns void
language plpgsql volatile set search_path = ''
as $$
begin
  with resolved as (
    update public.alerts a set resolved_at = now()
     where a.integration_id = p_integration_id and a.resolved_at is null and a.kind not like p_kept
       -- Those that judge_integrations raises it resolves too, when what it looks at is over.
       and a.kind not in (select k.kind from private.alert_kinds k where k.is_judged)
    returning a.organization_id, a.integration_id, a.kind
  )
  insert into public.integration_activity (organization_id, integration_id, kind, message, details)
  select r.organization_id, r.integration_id, 'alert.resolved', p_message, jsonb_build_object('kinds', jsonb_agg(r.kind))
    from resolved r
   group by r.organization_id, r.integration_id;
end
$$;
comment on function private.resolve_alerts is 'Ends the open alerts of an integration, but for kinds that are like p_kept, and says in its activity why.';

revoke all on public.alerts from public, anon, authenticated, service_role;
revoke all on sequence public.alerts_id_seq from public, anon, authenticated, service_role;
revoke execute on function private.make_code, private.raise_alert, private.resolve_alerts from public, anon, authenticated, service_role;
