-- The API's writes of codecs, as write_integration: rate limits, role, the change, what is there now, in one call.

create function private.show_codec(p_organization_id uuid, p_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select to_jsonb(c) from public.codecs c where c.organization_id = p_organization_id and c.id = p_id
$$;
comment on function private.show_codec is 'One codec as its members may read it.';

create function private.administer_codec(p_id uuid) returns uuid
language plpgsql stable set search_path = ''
as $$
declare
  v_organization_id uuid;
begin
  select c.organization_id into v_organization_id
    from public.codecs c
   where c.id = p_id and c.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    raise exception 'There is no such codec here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  perform public.require_role(v_organization_id, 'admin');
  return v_organization_id;
end
$$;
comment on function private.administer_codec is 'Its organization, for an admin of it: PT404 where the caller sees no such codec, 42501 below admin.';

create function private.insert_codec(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_organization_id uuid := p_write #>> '{values,organization_id}';
  v_id uuid;
begin
  perform public.require_role(v_organization_id, 'admin');
  insert into public.codecs (organization_id, name, kind, source, fixtures)
  select v_organization_id, v.name, v.kind, v.source, coalesce(v.fixtures, '[]')
    from jsonb_to_record(p_write -> 'values') as v(name text, kind text, source text, fixtures jsonb)
  returning id into v_id;
  return jsonb_build_object('codec', private.show_codec(v_organization_id, v_id));
end
$$;
comment on function private.insert_codec is '{values {organization_id, name, kind, source, fixtures?}}: the new codec.';

create function private.update_codec(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := p_write ->> 'id';
  v_organization_id uuid := private.administer_codec(v_id);
begin
  update public.codecs c
     set name = coalesce(v.name, c.name), kind = coalesce(v.kind, c.kind), source = coalesce(v.source, c.source),
         fixtures = coalesce(v.fixtures, c.fixtures)
    from jsonb_to_record(p_write -> 'values') as v(name text, kind text, source text, fixtures jsonb)
   where c.id = v_id and c.organization_id = v_organization_id
     and (nullif(p_write -> 'versions', 'null') is null or to_jsonb(c.version) <@ (p_write -> 'versions'));
  if not found then
    perform private.refuse_stale();
  end if;
  return jsonb_build_object('codec', private.show_codec(v_organization_id, v_id));
end
$$;
comment on function private.update_codec is
  '{id, values {name?, kind?, source?, fixtures?}, versions?}: the codec as it is now; PT412 where its version is none of the given ones.';

create function private.delete_codec(p_write jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid := p_write ->> 'id';
  v_organization_id uuid := private.administer_codec(v_id);
  v_names text;
begin
  -- Against whoever is just beginning to use it: they are there before, or find it gone.
  perform from public.codecs c where c.id = v_id and c.organization_id = v_organization_id for update;
  select string_agg(format('"%s"', u.name), ', ' order by u.name) into v_names
    from (select u.name from private.list_codec_users(v_organization_id, v_id) u order by u.name limit 20) u;
  if v_names is not null then
    raise exception 'These integrations use it: %. Give them another codec, or none, first.', v_names
      using errcode = 'PT409', hint = 'in_use';
  end if;
  delete from public.codecs c
   where c.id = v_id and c.organization_id = v_organization_id
     and (nullif(p_write -> 'versions', 'null') is null or to_jsonb(c.version) <@ (p_write -> 'versions'));
  if not found then
    perform private.refuse_stale();
  end if;
  return '{}';
end
$$;
comment on function private.delete_codec is
  '{id, versions?}; PT409 in_use, naming them, where integrations use it; PT412 where its version is none of the given ones.';

create function public.write_codec(p_action text, p_write jsonb) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_limits jsonb := public.take_tokens('write', coalesce(
    (p_write #>> '{values,organization_id}')::uuid, (select c.organization_id from public.codecs c where c.id = (p_write ->> 'id')::uuid)));
  v_hint text;
  v_details text;
begin
  if not (v_limits -> 'allowed')::boolean then
    return jsonb_build_object('limits', v_limits);
  end if;
  -- Refusals are returned, not raised: raising would give the tokens back, and refused calls would be free.
  begin
    return jsonb_build_object('limits', v_limits) || case p_action
      when 'insert' then private.insert_codec(p_write)
      when 'update' then private.update_codec(p_write)
      when 'delete' then private.delete_codec(p_write)
      else jsonb_build_object('problem', '{"code": "22023", "message": "p_action is insert, update or delete."}'::jsonb)
    end;
  exception when others then
    get stacked diagnostics v_hint = pg_exception_hint, v_details = pg_exception_detail;
    return jsonb_build_object(
      'limits', v_limits, 'problem', jsonb_build_object('code', sqlstate, 'message', sqlerrm, 'hint', v_hint,
      'details', case when sqlstate = 'PT429' then v_details end));
  end;
end
$$;
comment on function public.write_codec is
  'For the integrations function: action insert, update or delete. {limits, codec?, problem: {code, message, hint, details}?}; neither codec nor '
  'problem where the limits refused it. What the source is worth is for the function to find out before.';

revoke execute on function private.show_codec, private.administer_codec, private.insert_codec, private.update_codec,
  private.delete_codec, public.write_codec from public, anon, authenticated, service_role;
