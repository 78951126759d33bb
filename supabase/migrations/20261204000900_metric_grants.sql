-- Who may do what with metrics. As in the grants of before, nothing is open but what stands here.

grant select on public.integration_metric_rollups, public.integration_totals to authenticated;
grant execute on function public.read_metrics to authenticated;

grant select on public.integration_metric_rollups, public.integration_totals to service_role;
grant insert on private.metric_tallies to service_role;
grant execute on function public.sum_metrics, public.read_platform_metrics to service_role;
grant execute on function
  private.bucket_ms, private.count_places, private.list_uptime, private.count_uptime, private.count_duplicates
  to service_role;
