-- What PostgREST embeds where there is no foreign key to embed by: telemetry and logs outlive what they are about.
--
-- Computed relationships: `device_messages?select=payload,devices(name),device_integrations(name)`. Row-level security of the
-- embedded table holds as for any read of it. Their bodies are bound when they are made, so no search_path changes them, and
-- without a setting of their own Postgres can read them as part of the query: 50 rows cost microseconds, not milliseconds.

create function public.devices(public.device_messages) returns setof public.devices rows 1
language sql stable
begin atomic
  select d.* from public.devices d where d.organization_id = $1.organization_id and d.id = $1.device_id;
end;
comment on function public.devices(public.device_messages) is 'The device that said it; none once it is deleted.';

create function public.device_integrations(public.device_messages) returns setof public.device_integrations rows 1
language sql stable
begin atomic
  select i.* from public.device_integrations i where i.organization_id = $1.organization_id and i.id = $1.integration_id;
end;
comment on function public.device_integrations(public.device_messages) is 'The integration it came by; none once it is deleted.';

create function public.device_integrations(public.device_commands) returns setof public.device_integrations rows 1
language sql stable
begin atomic
  select i.* from public.device_integrations i where i.organization_id = $1.organization_id and i.id = $1.integration_id;
end;
comment on function public.device_integrations(public.device_commands) is 'The integration it goes by; none once it is deleted.';

create function public.device_integrations(public.webhook_deliveries) returns setof public.device_integrations rows 1
language sql stable
begin atomic
  select i.* from public.device_integrations i where i.organization_id = $1.organization_id and i.id = $1.integration_id;
end;
comment on function public.device_integrations(public.webhook_deliveries) is 'The webhook it goes to; none once it is deleted.';

create function public.device_integrations(public.integration_activity) returns setof public.device_integrations rows 1
language sql stable
begin atomic
  select i.* from public.device_integrations i where i.organization_id = $1.organization_id and i.id = $1.integration_id;
end;
comment on function public.device_integrations(public.integration_activity) is 'The integration it happened on; none once it is deleted.';

revoke execute on function public.devices(public.device_messages), public.device_integrations(public.device_messages),
  public.device_integrations(public.device_commands), public.device_integrations(public.webhook_deliveries),
  public.device_integrations(public.integration_activity)
  from public, anon, authenticated, service_role;
