-- Tables the frontend watches, where the project has Supabase Realtime.

do $$
begin
  if exists (select from pg_catalog.pg_publication where pubname = 'supabase_realtime') then
    alter publication supabase_realtime add table
      public.device_integrations, public.devices, public.integration_activity, public.alerts, public.integration_jobs,
      public.device_conflicts, public.firmware_rollouts;
  end if;
end
$$;
