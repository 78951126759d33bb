-- The API's writes, each in one call and one transaction: rate limits, idempotency key, the change, what is there now.
-- It acts for its caller, with rights that nobody has at the table itself, and asks for the role before anything else.

create function private.show_integration(p_organization_id uuid, p_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select to_jsonb(shown)
    from (
      select i.id, i.organization_id, i.integration_type, i.name, i.status, i.settings, i.secret_names, i.device_count,
             i.last_sync_at, i.sync_status, i.error_message, i.created_at, i.created_by, i.updated_at, i.version
        from public.device_integrations i
       where i.organization_id = p_organization_id and i.id = p_id
    ) shown
$$;
comment on function private.show_integration is 'One integration as its members may read it.';

create function private.refuse_stale() returns void
language plpgsql stable set search_path = ''
as $$
begin
  raise exception 'Somebody else has changed this integration meanwhile.' using errcode = 'PT412';
end
$$;
comment on function private.refuse_stale is 'PT412: the row has another version than the caller has seen.';

create function private.insert_integration(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_key text := p_write ->> 'key';
  v_organization_id uuid := p_write #>> '{values,organization_id}';
  v_reply jsonb;
begin
  perform public.require_role(v_organization_id, 'admin');
  perform private.require_issued((p_write #>> '{values,id}')::uuid, v_organization_id);
  if v_key is not null then
    v_reply := private.claim_key(v_key, v_organization_id, p_write ->> 'fingerprint');
    if v_reply is not null then
      return v_reply;
    end if;
  end if;
  insert into public.device_integrations
    (id, organization_id, integration_type, name, status, settings, api_key_encrypted, secret_names)
  select v.*
    from jsonb_to_record(p_write -> 'values') as v(
      id uuid, organization_id uuid, integration_type text, name text, status text, settings jsonb, api_key_encrypted text,
      secret_names text[]);
  v_reply := private.show_integration(v_organization_id, (p_write #>> '{values,id}')::uuid);
  if v_key is not null then
    update private.idempotency_keys set reply = v_reply where user_id = auth.uid() and key = v_key;
  end if;
  return jsonb_build_object('integration', v_reply);
end
$$;
comment on function private.insert_integration is
  '{values, key?, fingerprint?}, with an id that issue_id gave: the new integration, or for a known key the old reply with the fingerprint of its request.';

create function private.update_integration(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := p_write ->> 'id';
  v_organization_id uuid := private.administer_integration(v_id);
  v_columns text;
  v_reached integer;
begin
  perform set_config('audit.changed_secrets', coalesce(p_write ->> 'changed_secrets', ''), true);
  -- Only what is given is set, and of that only what the record below knows.
  select string_agg(format('%1$I = v.%1$I', c), ', ') into v_columns from jsonb_object_keys(p_write -> 'values') c;
  execute format(
    'update public.device_integrations i set %s
       from jsonb_to_record($1) as v(name text, status text, settings jsonb, api_key_encrypted text, secret_names text[])
      where i.id = $2 and i.organization_id = $3 and ($4 is null or to_jsonb(i.version) <@ $4)', v_columns)
    using p_write -> 'values', v_id, v_organization_id, nullif(p_write -> 'versions', 'null');
  get diagnostics v_reached = row_count;
  if v_reached = 0 then
    perform private.refuse_stale();
  end if;
  return jsonb_build_object('integration', private.show_integration(v_organization_id, v_id));
end
$$;
comment on function private.update_integration is
  '{id, values, versions?, changed_secrets?}: the integration as it is now; PT412 where its version is none of the given ones.';

create function private.delete_integration(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := p_write ->> 'id';
  v_organization_id uuid := private.administer_integration(v_id);
begin
  delete from public.device_integrations i
   where i.id = v_id and i.organization_id = v_organization_id
     and (nullif(p_write -> 'versions', 'null') is null or to_jsonb(i.version) <@ (p_write -> 'versions'));
  if not found then
    perform private.refuse_stale();
  end if;
  return '{}';
end
$$;
comment on function private.delete_integration is '{id, versions?}; PT412 where its version is none of the given ones.';

create function public.write_integration(p_action text, p_write jsonb, p_limits jsonb default '{}') returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_limits jsonb := public.take_tokens(
    'write', p_limits, (p_write #>> '{values,organization_id}')::uuid, (p_write ->> 'id')::uuid);
begin
  if not (v_limits -> 'allowed')::boolean then
    return jsonb_build_object('limits', v_limits);
  end if;
  -- Refusals are returned, not raised: raising would give the tokens back, and refused calls would be free.
  begin
    return jsonb_build_object('limits', v_limits) || case p_action
      when 'insert' then private.insert_integration(p_write)
      when 'update' then private.update_integration(p_write)
      when 'delete' then private.delete_integration(p_write)
      else jsonb_build_object('problem', '{"code": "22023", "message": "p_action is insert, update or delete."}'::jsonb)
    end;
  exception when others then
    return jsonb_build_object('limits', v_limits, 'problem', jsonb_build_object('code', sqlstate, 'message', sqlerrm));
  end;
end
$$;
comment on function public.write_integration is
  'For the integrations function: action insert, update or delete. {limits, integration?, fingerprint?, problem: {code, message}?}; '
  'neither integration nor problem where the limits refused it.';

revoke execute on function private.show_integration, private.refuse_stale, private.insert_integration,
  private.update_integration, private.delete_integration, public.write_integration from public, anon, authenticated,
  service_role;
