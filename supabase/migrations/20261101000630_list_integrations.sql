-- A page of the caller's integrations, written as the API answers it, so that the function passes it on unread.

create function private.write_cursor(p_created_at timestamptz, p_id text) returns text
language sql stable set search_path = ''
as $$
  -- base64url without padding, as shared/runtime/web/paging.py reads it; base64 breaks its lines.
  select rtrim(translate(encode(convert_to((to_jsonb(p_created_at) #>> '{}') || ' ' || p_id, 'utf8'), 'base64'), E'+/\n', '-_'), '=')
$$;
comment on function private.write_cursor is 'What names the last row of a page, newest first, to the call for the next page.';

create function public.list_integrations(
  p_limit integer, p_organization_id uuid default null, p_integration_type text default null, p_status text default null,
  p_after_created_at timestamptz default null, p_after_id uuid default null
) returns json
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
as $$
declare
  -- Asked once, where each policy on the way would ask again.
  v_organizations uuid[] := array(select private.org_ids('viewer'));
  v_reply json;
begin
  with listed as (
    select i.id, i.organization_id, i.integration_type, i.name, i.status, i.settings as config, i.secret_names as secrets,
           i.device_count, i.last_sync_at, i.sync_status, i.error_message, i.created_at, i.created_by, i.updated_at
      from public.device_integrations i
     where i.organization_id = any (v_organizations)
       and (p_organization_id is null or i.organization_id = p_organization_id)
       and (p_integration_type is null or i.integration_type = p_integration_type
            or p_integration_type = 'lora' and starts_with(i.integration_type, 'lorawan_'))
       and (p_status is null or i.status = p_status)
       and (p_after_id is null or (i.created_at, i.id) < (p_after_created_at, p_after_id))
     order by i.created_at desc, i.id desc
     limit least(p_limit, 1000) + 1
  ), page as (
    select l.*, row_to_json(s) as health
      from (select * from listed order by created_at desc, id desc limit least(p_limit, 1000)) l
      cross join lateral (
        select h.state, h.reason, h.since, h.last_message_at, h.last_delivered_at, h.last_success_at, h.last_error_at, h.last_error,
               h.consecutive_failures, h.pending, h.dead, h.oldest_due_at, h.open_alerts, h.messages_24h, h.lag
          from public.integration_health h
         -- One by one, by their ids: together the health of all there are would be worked out, and an index that begins with the
         -- organization would be read for each from one end to the other.
         where h.integration_id = l.id and (h.organization_id = l.organization_id) is true
         limit 1) s
  )
  select json_build_object(
           'integrations', coalesce(json_agg(page order by page.created_at desc, page.id desc), '[]'),
           'next_cursor', case
             when (select count(*) from listed) > least(p_limit, 1000)
             then private.write_cursor(min(page.created_at), (array_agg(page.id order by page.created_at, page.id))[1]::text)
           end,
           'scheduler', private.show_scheduler())
    into v_reply
    from page;
  return v_reply;
end
$$;
comment on function public.list_integrations is
  'For the integrations function: {integrations, next_cursor, scheduler}, newest first, at most p_limit and 1,000, after the row that p_after names. The type lora is every LoRaWAN type.';

revoke execute on function private.write_cursor, public.list_integrations from public, anon, authenticated,
  service_role;
