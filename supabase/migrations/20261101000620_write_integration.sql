-- The API's writes, each in one call and one transaction: rate limits, idempotency key, the change, what is there now.
-- It acts for its caller, with rights that nobody has at the table itself, and asks for the role before anything else.

create function private.show_integration(p_organization_id uuid, p_id uuid) returns jsonb
language plpgsql stable set search_path = ''
as $$
begin
  return (select to_jsonb(shown)
    from (
      select i.id, i.organization_id, i.integration_type, i.name, i.status, i.settings, i.secret_names, i.device_count,
             i.last_sync_at, i.sync_status, i.error_message, i.created_at, i.created_by, i.updated_at, i.version,
             private.show_health(i.organization_id, i.id) as health
        from public.device_integrations i
       where i.id = p_id and (i.organization_id = p_organization_id) is true -- looked up by its id alone
    ) shown);
end
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
  v_id uuid := p_write #>> '{values,id}';
  v_organization_id uuid := p_write #>> '{values,organization_id}';
  v_sealed jsonb := nullif(p_write -> 'sealed', 'null');
  v_reply jsonb;
begin
  perform public.require_role(v_organization_id, 'admin');
  perform private.require_issued(v_id, v_organization_id);
  if v_key is not null then
    v_reply := private.claim_key(v_key, v_organization_id, p_write ->> 'fingerprint');
    if v_reply is not null then
      return v_reply;
    end if;
  end if;
  insert into public.device_integrations
    (id, organization_id, integration_type, name, status, settings, secret_names, api_key_encrypted, seal_count)
  select v_id, v_organization_id, v.integration_type, v.name, v.status, v.settings, v.secret_names,
         private.read_key_id(v_sealed ->> 'sent', v_sealed ->> 'kept'), (v_sealed is not null)::integer
    from jsonb_to_record(p_write -> 'values') as v(
      integration_type text, name text, status text, settings jsonb, secret_names text[]);
  if v_sealed is not null then
    perform private.write_seals(v_organization_id, v_id, v_sealed);
  end if;
  v_reply := private.show_integration(v_organization_id, v_id);
  if v_key is not null then
    update private.idempotency_keys set reply = v_reply where user_id = auth.uid() and key = v_key;
  end if;
  return jsonb_build_object('integration', v_reply);
end
$$;
comment on function private.insert_integration is
  '{values, sealed? {sent, kept, count: 1}, key?, fingerprint?}, with an id that issue_id gave: the new integration, or for a known key '
  'the old reply with the fingerprint of its request.';

create function private.update_integration(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := p_write ->> 'id';
  v_organization_id uuid := private.administer_integration(v_id);
  v_versions jsonb := nullif(p_write -> 'versions', 'null');
  v_sealed jsonb := nullif(p_write -> 'sealed', 'null');
begin
  perform set_config('audit.changed_secrets', coalesce(p_write ->> 'changed_secrets', ''), true);
  -- Key and counter here, so that one change is one change; show_seal then finds them as they are to be.
  update public.device_integrations i
     set name = coalesce(v.name, i.name), status = coalesce(v.status, i.status), settings = coalesce(v.settings, i.settings),
         secret_names = coalesce(v.secret_names, i.secret_names), seal_count = i.seal_count + (v_sealed is not null)::integer,
         api_key_encrypted = case
           when v_sealed is null then i.api_key_encrypted else private.read_key_id(v_sealed ->> 'sent', v_sealed ->> 'kept') end
    from jsonb_to_record(p_write -> 'values') as v(name text, status text, settings jsonb, secret_names text[])
   where i.id = v_id and i.organization_id = v_organization_id and (v_versions is null or to_jsonb(i.version) <@ v_versions);
  if not found then
    perform private.refuse_stale();
  end if;
  if v_sealed is not null then
    perform private.write_seals(v_organization_id, v_id, v_sealed);
  end if;
  return jsonb_build_object('integration', private.show_integration(v_organization_id, v_id));
end
$$;
comment on function private.update_integration is
  '{id, values {name?, status?, settings?, secret_names?}, sealed? {sent, kept, count}, versions?, changed_secrets?}: the integration as it '
  'is now; PT412 where its version is none of the given ones, or its secrets have another counter than they were sealed for.';

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

create function public.write_integration(p_action text, p_write jsonb) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_limits jsonb := public.take_tokens(
    -- Of a change the organization that it is made in, whatever the caller names.
    'write', case p_action when 'insert' then (p_write #>> '{values,organization_id}')::uuid end, (p_write ->> 'id')::uuid);
  v_hint text;
  v_details text;
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
    get stacked diagnostics v_hint = pg_exception_hint, v_details = pg_exception_detail;
    return jsonb_build_object(
      'limits', v_limits, 'problem', jsonb_build_object('code', sqlstate, 'message', sqlerrm, 'hint', v_hint,
      -- Of our own alone: those of constraints quote the row.
      'details', case when sqlstate = 'PT429' then v_details end));
  end;
end
$$;
comment on function public.write_integration is
  'For the integrations function: action insert, update or delete. {limits, integration?, fingerprint?, problem: {code, message, hint, details}?}; '
  'neither integration nor problem where the limits refused it.';

revoke execute on function private.show_integration, private.refuse_stale, private.insert_integration,
  private.update_integration, private.delete_integration, public.write_integration from public, anon, authenticated,
  service_role;
