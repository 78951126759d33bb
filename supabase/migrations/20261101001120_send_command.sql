-- Sending a command through the API: rate limits and the insert in one call and one transaction, for its caller.

create function public.send_command(p_command jsonb) returns json
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- As the caller sees it: a device that is not visible is not there.
  v_organization_id uuid := (
    select d.organization_id from public.devices d
     where d.id = (p_command ->> 'device_id')::uuid and d.organization_id = any (array(select private.org_ids('viewer'))));
  v_limits jsonb := public.take_tokens(
    'command', v_organization_id, p_tokens => 1 + coalesce(pg_column_size(p_command -> 'payload'), 0) / 4096);
  v_command json;
  v_hint text;
  v_details text;
begin
  if not (v_limits -> 'allowed')::boolean then
    return json_build_object('limits', v_limits);
  end if;
  -- Refusals are returned, not raised: raising would give the tokens back, and refused calls would be free.
  begin
    if v_organization_id is null then
      raise exception 'There is no such device here, or it is not visible to you.' using errcode = 'PT404';
    end if;
    perform public.require_role(v_organization_id, 'member');
    with made as (
      insert into public.device_commands (device_id, name, payload, expires_at)
      select v.* from jsonb_to_record(p_command) as v(device_id uuid, name text, payload jsonb, expires_at timestamptz)
      returning id, organization_id, device_id, integration_id, name, payload, status, attempts, expires_at, reference, result,
                error, created_by, created_at, finished_at
    )
    select row_to_json(made) into v_command from made;
  exception when others then
    get stacked diagnostics v_hint = pg_exception_hint, v_details = pg_exception_detail;
    return json_build_object('limits', v_limits, 'problem', json_build_object('code', sqlstate, 'message', sqlerrm, 'hint', v_hint,
      -- Of our own alone: those of constraints quote the row.
      'details', case when sqlstate = 'PT429' then v_details end));
  end;
  return json_build_object('limits', v_limits, 'command', v_command);
end
$$;
comment on function public.send_command is
  'For the commands function, on behalf of a member: {device_id, name, payload, expires_at}. {limits, command?, problem: {code, message, '
  'hint, details}?}; neither command nor problem where the limits refused it.';

revoke execute on function public.send_command from public, anon, authenticated, service_role;
