-- Health in what the integrations function answers, in the one call that it makes.

create function private.show_health(p_organization_id uuid, p_integration_id uuid) returns json
language plpgsql stable set search_path = '' -- its plan is kept, which that of a SQL function is not
as $$
begin
  return (
    select row_to_json(shown)
      from (
        select h.state, h.reason, h.since, h.last_message_at, h.last_delivered_at, h.last_success_at, h.last_error_at, h.last_error,
               h.consecutive_failures, h.pending, h.dead, h.oldest_due_at, h.open_alerts, h.messages_24h
          from public.integration_health h
         where h.integration_id = p_integration_id and h.organization_id = p_organization_id
      ) shown);
end
$$;
comment on function private.show_health is 'The health of one integration, as the API answers it.';

create or replace function private.show_integration(p_organization_id uuid, p_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select to_jsonb(shown)
    from (
      select i.id, i.organization_id, i.integration_type, i.name, i.status, i.settings, i.secret_names, i.device_count,
             i.last_sync_at, i.sync_status, i.error_message, i.created_at, i.created_by, i.updated_at, i.version,
             private.show_health(i.organization_id, i.id) as health
        from public.device_integrations i
       where i.organization_id = p_organization_id and i.id = p_id
    ) shown
$$;

create function public.read_integration(p_integration_id uuid) returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_shown jsonb := (
    select private.show_integration(i.organization_id, i.id) from public.device_integrations i
     where i.id = p_integration_id and i.organization_id = any (array(select private.org_ids('viewer'))));
begin
  if v_shown is null then
    raise exception 'There is no such integration here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  return v_shown;
end
$$;
comment on function public.read_integration is 'For the integrations function: one integration with its health; PT404 where the caller sees no such.';

create or replace function public.list_integrations(
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
       and (p_integration_type is null or i.integration_type = p_integration_type)
       and (p_status is null or i.status = p_status)
       and (p_after_id is null or (i.created_at, i.id) < (p_after_created_at, p_after_id))
     order by i.created_at desc, i.id desc
     limit least(p_limit, 1000) + 1
  ), page as (
    select l.*, row_to_json(s) as health
      from (select * from listed order by created_at desc, id desc limit least(p_limit, 1000)) l
      cross join lateral (
        select h.state, h.reason, h.since, h.last_message_at, h.last_delivered_at, h.last_success_at, h.last_error_at, h.last_error,
               h.consecutive_failures, h.pending, h.dead, h.oldest_due_at, h.open_alerts, h.messages_24h
          from public.integration_health h
         where h.integration_id = l.id and h.organization_id = l.organization_id
         -- One by one, by the index: together the health of all there are would be worked out.
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
  'For the integrations function: {integrations, next_cursor, scheduler}, newest first, at most p_limit and 1,000, after the row that p_after names.';

revoke execute on function private.show_health, public.read_integration from public, anon, authenticated, service_role;
