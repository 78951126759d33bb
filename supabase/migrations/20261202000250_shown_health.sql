-- Health in what the integrations function answers, in the one call that it makes.

create function private.show_health(p_organization_id uuid, p_integration_id uuid) returns json
language plpgsql stable set search_path = '' -- its plan is kept, which that of a SQL function is not
as $$
begin
  return (
    select row_to_json(shown)
      from (
        select h.state, h.reason, h.since, h.last_message_at, h.last_delivered_at, h.last_success_at, h.last_error_at, h.last_error,
               h.consecutive_failures, h.pending, h.dead, h.oldest_due_at, h.open_alerts, h.messages_24h, h.lag
          from public.integration_health h
         where h.integration_id = p_integration_id and (h.organization_id = p_organization_id) is true -- looked up by its id alone
      ) shown);
end
$$;
comment on function private.show_health is 'The health of one integration, as the API answers it.';

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

revoke execute on function private.show_health, public.read_integration from public, anon, authenticated, service_role;
