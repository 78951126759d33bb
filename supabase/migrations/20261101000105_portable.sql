-- JSON that whoever reads it can read: jsonb takes numbers that no double holds, and documents that cost a gigabyte to print.

create function private.is_portable(p_value jsonb, p_bytes integer) returns boolean
language plpgsql immutable parallel safe set search_path = ''
as $$
declare
  v_tiny jsonb;
begin
  if p_value is null then
    return true;
  end if;
  -- The stored form is no more than a few times the text: this bounds what the rest costs. Printed is last, for 1e131071 are nine bytes.
  if pg_column_size(p_value) > 8 * p_bytes
     or jsonb_path_exists(p_value, 'lax $.**{101}')
     or jsonb_path_exists(p_value, 'strict $.**{0 to 100} ? (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308)') then
    return false;
  end if;
  -- So are 0e-16383 and 1e-16383, and they print as 16 KB: a few are let through to be printed, many are added up first.
  v_tiny := jsonb_path_query_array(p_value, 'strict $.**{0 to 100} ? (@ < 1e-400 && @ > -1e-400)');
  if jsonb_array_length(v_tiny) > 64 and (select scale(sum(e::numeric)) from jsonb_array_elements(v_tiny) e) > 400 then
    return false;
  end if;
  return octet_length(p_value::text) <= p_bytes;
end
$$;
comment on function private.is_portable is
  'Whether every reader can take it: at most p_bytes as text, 100 levels, numbers that a double holds. NUL and lone surrogates jsonb refuses itself.';

create function private.require_portable(p_name text, p_value jsonb, p_bytes integer) returns void
language plpgsql immutable set search_path = ''
as $$
begin
  if not private.is_portable(p_value, p_bytes) then
    raise exception '%: expected JSON of at most % bytes and 100 levels, with numbers that a double can hold.', p_name, p_bytes
      using errcode = '22023';
  end if;
end
$$;
comment on function private.require_portable is 'Refuses, by its name and without quoting it, JSON that not every reader could take.';

create function private.check_portable() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_row jsonb := to_jsonb(new);
begin
  for n in 0 .. tg_nargs - 1 by 2 loop
    if v_row -> tg_argv[n] = 'null' then
      raise exception '%: expected JSON other than null; leave it out where there is nothing to say.', tg_argv[n] using errcode = '22023';
    end if;
    perform private.require_portable(tg_argv[n], v_row -> tg_argv[n], tg_argv[n + 1]::integer);
  end loop;
  return new;
end
$$;
comment on function private.check_portable is
  'For columns of JSON that people write: its arguments are their names and how many bytes each may have. Not a check constraint, whose '
  'error would quote the row.';

create function private.bound_state(p_name text, p_state jsonb) returns void
language plpgsql immutable set search_path = ''
as $$
begin
  if pg_column_size(p_state) > 8388608 or octet_length(p_state::text) > 1048576 then
    raise exception
      '%: what it keeps to go on from has more than 1048576 bytes, so this step was not recorded. What the other side gives as cursors, or the range that was asked for, has to be smaller.', p_name
      using errcode = 'PT413';
  end if;
end
$$;
comment on function private.bound_state is 'Refuses (PT413) a state of a session, a job or a rollout that would be too large to be leased with others.';

create function private.show_state(p_state jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return case when pg_column_size(p_state) <= 8388608 and octet_length(p_state::text) <= 1048576 then p_state end;
end
$$;
comment on function private.show_state is 'A state as it is handed out: null where it is too large, however it came there.';

revoke execute on function private.bound_state, private.show_state, private.is_portable, private.require_portable, private.check_portable
  from public, anon, authenticated, service_role;
