-- A stand-in for the extension supabase_vault with its tables, functions and grants.
-- Supabase encrypts with libsodium under a key outside of the database. Neither the wheel nor a plain Postgres has
-- libsodium, so this uses what every Postgres has, SHA-256: a keyed hash gives both the key stream (in counter mode)
-- and the tag over id, nonce and ciphertext. The key is a file in the data folder, in no table: a dump or a copied
-- table gives nothing away, the whole data folder does. It is for the local stack; it guards no production secret.
-- Run by the superuser supabase_admin at every start; nothing changes the second time.

create schema if not exists vault;
revoke all on schema vault from public;

create table if not exists vault.secrets (
    id uuid primary key default gen_random_uuid(),
    name text,
    description text not null default '',
    secret text not null,
    key_id uuid,
    nonce bytea not null default uuid_send(gen_random_uuid()),
    created_at timestamptz not null default current_timestamp,
    updated_at timestamptz not null default current_timestamp
);
create unique index if not exists secrets_name_idx on vault.secrets (name) where name is not null;
comment on table vault.secrets is 'Secrets, encrypted in the column secret.';

-- Two independent keys, inside and outside, as in HMAC: nobody extends a hash they have seen.
create or replace function vault._keyed_hash(message bytea) returns bytea
language sql stable security definer set search_path = '' as $$
    select pg_catalog.sha256(
        pg_catalog.substr(file.key, 65) || pg_catalog.sha256(pg_catalog.substr(file.key, 1, 64) || message)
    )
    from (select pg_catalog.pg_read_binary_file('vault.key') as key) as file
$$;

create or replace function vault._apply_stream(message bytea, nonce bytea) returns bytea
language plpgsql stable set search_path = '' as $$
declare
    result bytea := message;
    block bytea;
begin
    for i in 0 .. length(message) - 1 loop
        if i % 32 = 0 then
            block := vault._keyed_hash('stream'::bytea || nonce || int4send(i / 32));
        end if;
        result := set_byte(result, i, get_byte(message, i) # get_byte(block, i % 32));
    end loop;
    return result;
end
$$;

create or replace function vault._encrypt(plain text, id uuid, nonce bytea) returns text
language plpgsql stable set search_path = '' as $$
declare
    ciphertext bytea := vault._apply_stream(convert_to(plain, 'UTF8'), nonce);
begin
    return encode(ciphertext || vault._keyed_hash('tag'::bytea || uuid_send(id) || nonce || ciphertext), 'base64');
end
$$;

create or replace function vault._decrypt(sealed text, id uuid, nonce bytea) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
    bytes bytea := decode(sealed, 'base64');
    ciphertext bytea := substr(bytes, 1, length(bytes) - 32);
begin
    if substr(bytes, length(bytes) - 31) <> vault._keyed_hash('tag'::bytea || uuid_send(id) || nonce || ciphertext) then
        raise exception 'the secret % does not open: it was changed, or sealed under another key', id;
    end if;
    return convert_from(vault._apply_stream(ciphertext, nonce), 'UTF8');
end
$$;

create or replace view vault.decrypted_secrets as
select id, name, description, secret, vault._decrypt(secret, id, nonce) as decrypted_secret,
    key_id, nonce, created_at, updated_at
from vault.secrets;

create or replace function vault.create_secret(
    new_secret text, new_name text default null, new_description text default '', new_key_id uuid default null
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    new_id uuid := gen_random_uuid();
    new_nonce bytea := uuid_send(gen_random_uuid());
begin
    insert into vault.secrets (id, name, description, secret, key_id, nonce)
    values (new_id, new_name, new_description, vault._encrypt(new_secret, new_id, new_nonce), new_key_id, new_nonce);
    return new_id;
end
$$;

-- A new secret gets a new nonce: one key stream must never cover two texts.
create or replace function vault.update_secret(
    secret_id uuid, new_secret text default null, new_name text default null, new_description text default null,
    new_key_id uuid default null
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    new_nonce bytea := uuid_send(gen_random_uuid());
begin
    update vault.secrets as s set
        secret = case when new_secret is null then s.secret else vault._encrypt(new_secret, s.id, new_nonce) end,
        nonce = case when new_secret is null then s.nonce else new_nonce end,
        name = coalesce(new_name, s.name),
        description = coalesce(new_description, s.description),
        key_id = coalesce(new_key_id, s.key_id),
        updated_at = now()
    where s.id = secret_id;
end
$$;

revoke all on all functions in schema vault from public;
grant usage on schema vault to postgres with grant option;
grant select, delete on vault.secrets, vault.decrypted_secrets to postgres with grant option;
grant execute on function vault.create_secret, vault.update_secret, vault._decrypt to postgres with grant option;
grant usage on schema vault to service_role;
grant select, delete on vault.secrets, vault.decrypted_secrets to service_role;
grant execute on function vault.create_secret, vault.update_secret, vault._decrypt to service_role;
