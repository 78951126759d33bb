-- What is told of a command before the answer to the call that sent it: the name it goes by is not recorded yet.

alter table public.device_commands
  add column early_reports jsonb[] not null default '{}' check (cardinality(early_reports) <= 16);
comment on column public.device_commands.early_reports is
  'The last 16 things that were told of queue items nobody knows, while this one had no reference: {stage, reference, error}. Maybe of another.';

create function private.keep_early(p_organization_id uuid, p_integration_id uuid, p_external_id text, p_told jsonb) returns void
language sql volatile set search_path = ''
as $$
  with sending as materialized (
    select c.id
      from public.devices d
      join public.device_commands c on c.device_id = d.id and c.organization_id = d.organization_id and c.integration_id = p_integration_id
     where d.organization_id = p_organization_id and d.integration_id = p_integration_id and d.external_id = p_external_id
       and c.status in ('pending', 'sending') and c.attempts > 0 and c.reference is null
     order by c.id
       for no key update of c
  )
  update public.device_commands c
     set early_reports = c.early_reports[greatest(1, cardinality(c.early_reports) - 14):] || t.told
    from (select p_told || jsonb_build_object('error', left(p_told ->> 'error', 2000)) as told) t
   where c.id in (select s.id from sending s) and c.reference is null and t.told <> all (c.early_reports)
$$;
comment on function private.keep_early is
  'Keeps what is told by a reference that no command of the device has, with each of its commands that was sent and whose answer is not recorded.';

create function private.heed_early(p_ids uuid[]) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_told record;
  v_command public.device_commands;
begin
  for v_told in
    select c.id, t.told
      from public.device_commands c cross join unnest(c.early_reports) with ordinality t(told, n)
     where c.id = any (p_ids) and t.told ->> 'reference' = c.reference
     order by c.id, t.n
  loop
    select c.* into v_command from public.device_commands c where c.id = v_told.id for no key update;
    perform private.move_command(v_command, v_told.told);
  end loop;
  update public.device_commands c set early_reports = '{}' where c.id = any (p_ids);
end
$$;
comment on function private.heed_early is 'Heeds what was told of commands before their references were known, in the order it was told, and forgets the rest.';

revoke execute on function private.keep_early, private.heed_early from public, anon, authenticated, service_role;
