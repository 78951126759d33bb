-- The roles, schemas and grants every Supabase project starts with, so that a migration that would fail there
-- fails here too. Run by the superuser supabase_admin at every start; nothing changes the second time.
-- Source: the init scripts and migrations of the repository supabase/postgres.

do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('postgres', 'login createdb createrole replication bypassrls'),
            ('anon', 'nologin'),
            ('authenticated', 'nologin'),
            ('service_role', 'nologin bypassrls'),
            ('authenticator', 'login noinherit'),
            ('supabase_auth_admin', 'login noinherit'),
            ('dashboard_user', 'nologin createdb createrole replication')
        ) as roles (name, options)
    loop
        if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
            execute format('create role %I %s', wanted.name, wanted.options);
        end if;
    end loop;
    -- From version 16 on, createrole alone no longer lets postgres hand these roles on.
    if current_setting('server_version_num')::integer >= 160000 then
        grant anon, authenticated, service_role to postgres with admin option;
    else
        grant anon, authenticated, service_role to postgres;
    end if;
end
$$;

grant anon, authenticated, service_role to authenticator;

alter role postgres set search_path to "$user", public, extensions;
alter role authenticator set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role authenticated set statement_timeout = '8s';
alter role anon set statement_timeout = '3s';

-- Schema public belongs to pg_database_owner, so this hands over both.
alter database postgres owner to postgres;

create schema if not exists extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;

do $$
declare
    extension text;
begin
    foreach extension in array array['pgcrypto', 'uuid-ossp']
    loop
        -- Supabase has both; the Postgres of the wheel is built without them.
        if exists (select from pg_catalog.pg_available_extensions where name = extension) then
            execute format('create extension if not exists %I with schema extensions', extension);
        end if;
    end loop;
end
$$;

grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to anon, authenticated, service_role;

do $$
begin
    if not exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
        create publication supabase_realtime;
    end if;
    alter publication supabase_realtime owner to postgres;
end
$$;
