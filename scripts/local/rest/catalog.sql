-- What `public` exposes, as one JSON document: tables with their columns and keys, foreign keys, functions; and how long
-- a statement of each role may take.
-- Run with an empty search_path, so that every type name comes back fully qualified.
with tables as (
  select c.oid, c.relname, c.reltype, (select r.ev_action::text from pg_catalog.pg_rewrite r
           where r.ev_class = c.oid and r.ev_type = '1' and c.relkind in ('v', 'm')) as query
    from pg_catalog.pg_class c
   where c.relnamespace = 'public'::pg_catalog.regnamespace
     and c.relkind in ('r', 'p', 'v', 'm', 'f')
     and not c.relispartition
),
columns as (
  select a.attrelid,
         pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', a.attname,
           'number', a.attnum,
           'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
           'default', case
             when a.attgenerated <> '' then null
             when a.attidentity <> '' then pg_catalog.format('pg_catalog.nextval(%L::pg_catalog.regclass)',
               pg_catalog.pg_get_serial_sequence(pg_catalog.format('public.%I', t.relname), a.attname))
             else pg_catalog.pg_get_expr(d.adbin, d.adrelid)
           end) order by a.attnum) as list
    from tables t
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   group by a.attrelid
),
constraints as (
  select o.conrelid, o.confrelid, o.conname, o.contype,
         (select pg_catalog.json_agg(a.attname order by k.place)
            from pg_catalog.unnest(o.conkey) with ordinality k(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = o.conrelid and a.attnum = k.number) as columns,
         (select pg_catalog.json_agg(a.attname order by k.place)
            from pg_catalog.unnest(o.confkey) with ordinality k(number, place)
            join pg_catalog.pg_attribute a on a.attrelid = o.confrelid and a.attnum = k.number) as referenced
    from pg_catalog.pg_constraint o
   where o.contype in ('p', 'u', 'f') and o.conparentid = 0
     and o.connamespace = 'public'::pg_catalog.regnamespace
),
functions as (
  select p.*, t.typtype, t.typname,
         coalesce(pg_catalog.array_length(p.proargtypes::oid[], 1), 0) as inputs,
         (select c.relname from tables c where c.reltype = p.prorettype) as row_of
    from pg_catalog.pg_proc p
    join pg_catalog.pg_type t on t.oid = p.prorettype
   where p.pronamespace = 'public'::pg_catalog.regnamespace
     and p.prokind = 'f'
     and t.typname not in ('trigger', 'event_trigger')
),
arguments as (
  select p.oid,
         pg_catalog.json_agg(pg_catalog.json_build_object(
           'name', coalesce(p.proargnames[a.place], ''),
           'type', pg_catalog.format_type(a.type, null),
           'required', a.input_place <= p.inputs - p.pronargdefaults,
           'variadic', a.mode = 'v') order by a.place) filter (where a.mode in ('i', 'b', 'v')) as list,
         pg_catalog.bool_or(a.mode in ('o', 'b', 't')) as has_output
    from functions p
    cross join lateral (
      select u.type, u.place, coalesce(p.proargmodes[u.place], 'i') as mode,
             pg_catalog.count(*) filter (where coalesce(p.proargmodes[u.place], 'i') in ('i', 'b', 'v'))
               over (order by u.place) as input_place
        from pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality u(type, place)
    ) a
   group by p.oid
)
select pg_catalog.json_build_object(
  'tables', (select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', t.relname,
      'oid', t.oid::bigint,
      'query', t.query,
      'columns', coalesce(c.list, '[]'::pg_catalog.json),
      'primary_key', (select o.columns from constraints o where o.conrelid = t.oid and o.contype = 'p'),
      'unique', (select pg_catalog.json_agg(o.columns) from constraints o where o.conrelid = t.oid and o.contype in ('p', 'u'))
    )), '[]'::pg_catalog.json) from tables t left join columns c on c.attrelid = t.oid),
  'foreign_keys', (select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', o.conname, 'table', t.relname, 'columns', o.columns,
      'referenced_table', r.relname, 'referenced_columns', o.referenced) order by o.conname), '[]'::pg_catalog.json)
    from constraints o join tables t on t.oid = o.conrelid join tables r on r.oid = o.confrelid where o.contype = 'f'),
  'functions', (select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', f.proname,
      'arguments', coalesce(a.list, '[]'::pg_catalog.json),
      'returns_set', f.proretset,
      'returns', case
        when f.typname = 'void' then 'void'
        when f.typtype = 'c' or coalesce(a.has_output, false) then 'row'
        else 'value'
      end,
      'row_of', f.row_of,
      'returns_one', not f.proretset or f.prorows = 1,
      'volatile', f.provolatile = 'v') order by f.oid), '[]'::pg_catalog.json)
    from functions f left join arguments a on a.oid = f.oid),
  'timeout', pg_catalog.current_setting('statement_timeout'),
  'timeouts', (select coalesce(pg_catalog.json_object_agg(r.rolname, pg_catalog.split_part(s.setting, '=', 2)), '{}'::pg_catalog.json)
    from pg_catalog.pg_roles r cross join lateral pg_catalog.unnest(r.rolconfig) s(setting)
   where s.setting like 'statement_timeout=%')
)::text
