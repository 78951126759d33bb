-- The schema of what the API never exposes, and what all functions may need.

create schema if not exists private;

comment on schema private is 'Helpers and storage that the API never exposes.';

create function private.refuse_late_worker() returns void
language plpgsql set search_path = ''
as $$
begin
  raise exception 'Another worker has taken over; this late result was refused.' using errcode = 'PT409', hint = 'lease_lost';
end
$$;
comment on function private.refuse_late_worker is 'PT409 lease_lost.';

create function private.is_user() returns boolean
language sql stable set search_path = ''
as $$ select current_setting('role', true) in ('authenticated', 'anon') $$;
comment on function private.is_user is
  'Whether a user''s token acts, within functions that run as their owner too; false for the service and whoever logs in to the database.';

create function private.has_people() returns boolean
language sql stable set search_path = ''
as $$ select to_regprocedure('public.accept_invitation(uuid)') is not null $$;
comment on function private.has_people is
  'Whether members and invitations are ours. A platform that keeps its own may have tables of the same names: docs/keep-yours.md.';

create function private.touch_updated_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.updated_at := greatest(clock_timestamp(), old.updated_at + interval '1 microsecond');
  return new;
end
$$;
comment on function private.touch_updated_at is 'Keeps updated_at strictly rising, so it can serve as a version.';

create function private.read_strings(p_list jsonb) returns text[]
language sql immutable set search_path = ''
as $$
  select array(
    select e.value #>> '{}'
      from jsonb_array_elements(case when jsonb_typeof(p_list) = 'array' then p_list end) e
     where jsonb_typeof(e.value) = 'string')
$$;
comment on function private.read_strings is 'The texts in a list; none where there is something else.';

create function private.read_bound(p_settings jsonb, p_name text, p_default integer, p_most integer) returns integer
language sql immutable set search_path = ''
as $$
  select case
    when jsonb_typeof(p_settings -> p_name) = 'number'
    then least(greatest((p_settings ->> p_name)::numeric, 1), p_most)::integer
    else p_default
  end
$$;
comment on function private.read_bound is 'A whole number of settings, at least 1; whatever was written past the API, it raises nothing.';

create function private.read_request_id() returns text
language sql stable set search_path = ''
as $$
  select substring(
    nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-request-id' from '^[A-Za-z0-9._:-]{1,128}$')
$$;
comment on function private.read_request_id is 'The X-Request-Id of this request, as PostgREST hands it on; null outside of one or in another form.';

revoke execute on function private.refuse_late_worker, private.is_user, private.has_people, private.touch_updated_at, private.read_strings,
  private.read_bound, private.read_request_id from public, anon, authenticated, service_role;
