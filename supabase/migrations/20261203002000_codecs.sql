-- Payload codecs: the decoders of an organization, by name. Their source runs in child processes, never here.

create table public.codecs (
  id uuid primary key default gen_random_uuid(),
  organization_id uuid not null references public.organizations (id) on delete cascade,
  name text not null check (length(name) <= 200 and length(btrim(name)) > 0),
  kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,39}$'),
  source text not null check (octet_length(source) <= 262144),
  fixtures jsonb not null default '[]' check (jsonb_typeof(fixtures) = 'array'),
  version integer not null default 1,
  created_at timestamptz not null default now(),
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  updated_at timestamptz not null default now(),
  unique (organization_id, id),
  constraint codecs_name_taken unique (organization_id, name)
);
comment on table public.codecs is 'What turns the bodies of an organization''s devices into JSON, and events into bodies: docs/codecs.md.';
comment on column public.codecs.kind is 'How the source is read: javascript, jmespath, cayenne_lpp, …';
comment on column public.codecs.fixtures is 'Bodies with what they have to become; each change of the source is tried on them.';
comment on column public.codecs.version is 'Rises with every change: what If-Match is compared with.';
create index codecs_page on public.codecs (organization_id, created_at desc, id desc);
create index codecs_created_by on public.codecs (created_by) where created_by is not null;

alter table public.codecs enable row level security;
create policy "Members see their codecs" on public.codecs
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create trigger check_portable before insert or update of fixtures on public.codecs
  for each row execute function private.check_portable('fixtures', '262144');
create trigger check_quota after insert on public.codecs referencing new table as added
  for each statement when (private.is_user()) execute function private.check_quota('codecs', 'codec_bytes');
create trigger check_quota_of_source after update of source, fixtures on public.codecs
  for each row when (private.is_user() and (old.source, old.fixtures) is distinct from (new.source, new.fixtures))
  execute function private.check_row_quota('codec_bytes');
create trigger touch_updated_at before update on public.codecs
  for each row execute function private.touch_updated_at();
create trigger bump_version before update on public.codecs
  for each row execute function private.bump_version();
create trigger audit_rows after insert or delete on public.codecs
  for each row execute function private.record_change('name', 'kind', 'source', 'fixtures');
create trigger audit_changes after update of name, kind, source, fixtures on public.codecs
  for each row execute function private.record_change('name', 'kind', 'source', 'fixtures');

insert into private.quotas (bound, most) values ('codecs', 200), ('codec_bytes', 16777216);

create function private.list_codecs(p_settings jsonb) returns table (field text, codec_id text)
language sql immutable set search_path = ''
as $$
  select f.field, lower(p_settings ->> f.field) from unnest(array['codec', 'transform']) f(field)
   where jsonb_typeof(p_settings -> f.field) <> 'null'
  union
  select 'device_codecs', lower(d.value #>> '{}')
    from jsonb_each(case when jsonb_typeof(p_settings -> 'device_codecs') = 'object' then p_settings -> 'device_codecs' else '{}' end) d
$$;
comment on function private.list_codecs is 'The codecs that a config names, and by which field.';

create function private.list_codec_users(p_organization_id uuid, p_codec_id uuid) returns setof public.device_integrations
language sql stable set search_path = ''
as $$
  select i.* from public.device_integrations i
   where i.organization_id = p_organization_id and p_codec_id::text = any (array(select n.codec_id from private.list_codecs(i.settings) n))
   order by i.name
$$;
comment on function private.list_codec_users is 'The integrations whose config names a codec, by any of the fields that may.';

create function private.require_codecs() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_named record;
begin
  for v_named in select n.* from private.list_codecs(new.settings) n order by n.codec_id limit 102 loop
    -- Held until the change is there: whoever deletes the codec waits, and then sees who uses it.
    perform from public.codecs c
      where c.organization_id = new.organization_id and c.id::text = v_named.codec_id for key share;
    if not found then
      raise exception 'Your organization has no such codec; GET /integrations/codecs lists those it has.'
        using errcode = 'PT422', hint = v_named.field;
    end if;
  end loop;
  return new;
end
$$;
comment on function private.require_codecs is 'PT422 where a config names a codec that its own organization has not; the hint is the field.';
create trigger require_codecs before insert on public.device_integrations
  for each row when (new.settings ?| array['codec', 'transform', 'device_codecs']) execute function private.require_codecs();
create trigger require_changed_codecs before update of settings, organization_id on public.device_integrations
  for each row
  when (
    new.settings ?| array['codec', 'transform', 'device_codecs']
    and (old.organization_id, old.settings -> 'codec', old.settings -> 'transform', old.settings -> 'device_codecs')
        is distinct from (new.organization_id, new.settings -> 'codec', new.settings -> 'transform', new.settings -> 'device_codecs')
  )
  execute function private.require_codecs();

create function private.renew_codec_users() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.integration_schedules s
     set due_at = now(), lease_token = null, attempts = 0
   where s.organization_id = new.organization_id
     and s.integration_id = any (array(
       select i.id from private.list_codec_users(new.organization_id, new.id) i where i.status <> 'inactive'));
  return null;
end
$$;
comment on function private.renew_codec_users is
  'Sessions that decode with what was changed have lost their lease: what they have not stored comes again, and is decoded by what is there now.';
create trigger renew_codec_users after update of kind, source on public.codecs
  for each row when ((old.kind, old.source) is distinct from (new.kind, new.source))
  execute function private.renew_codec_users();

create function public.codec_sources(p_wanted jsonb)
returns table (id uuid, organization_id uuid, kind text, version integer, source text)
language sql stable set search_path = ''
as $$
  select c.id, c.organization_id, c.kind, c.version, case when c.version is distinct from w.version then c.source end
    from jsonb_to_recordset(p_wanted) as w(id uuid, organization_id uuid, version integer)
    join public.codecs c on c.id = w.id and c.organization_id = w.organization_id
$$;
comment on function public.codec_sources is
  'For the service: the codecs [{id, organization_id, version?}] as they are now, each only of the organization that it is asked for; without '
  'the source where its version is the one that is known.';

revoke all on public.codecs from public, anon, authenticated, service_role;
revoke execute on function private.list_codecs, private.list_codec_users, private.require_codecs, private.renew_codec_users,
  public.codec_sources from public, anon, authenticated, service_role;
