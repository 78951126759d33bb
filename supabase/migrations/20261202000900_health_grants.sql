-- Who may do what with health, alerts and what was told. As in the grants of before, nothing is open but what stands here.

grant select on public.integration_facts, public.integration_states, public.integration_health, public.integration_events,
  public.webhook_requests
  to authenticated;
grant execute on function public.read_integration, public.read_scheduler, public.acknowledge_alert to authenticated;
grant execute on function
  private.scheduler_seen_at, private.list_gaps, private.describe_silence, private.read_seconds, private.say_interval, private.sum_day, private.count_hour,
  private.count_queue, private.find_unspread, private.sum_lag, private.share_undecoded, private.share_failed
  to authenticated, service_role;

grant select, insert, update, delete on
  public.integration_facts, public.integration_states, public.integration_events, public.webhook_requests, private.heartbeats, private.clocks
  to service_role;
grant select on public.integration_health to service_role;
grant select on private.alert_kinds to service_role;
grant execute on function public.record_heartbeat, public.prune_events, public.judge_integrations, public.explain_failure,
  public.record_requests
  to service_role;
grant execute on function private.note_attempts, private.note_certificate, private.queue_event, private.queue_told, private.find_gaps, private.add_gaps, private.add_refused,
  private.count_refused to service_role;
