-- Who may do what, in one place: each file closes what it makes, and nothing is open but what stands here.

grant usage on schema private to authenticated, service_role;
grant execute on function private.org_ids, private.role_rank, private.is_user to authenticated, service_role;

-- Users, within the policies of each table.

grant select on
  public.alerts, public.audit_log, public.device_commands, public.device_conflicts, public.device_integrations, public.device_links,
  public.device_messages, public.device_provisionings, public.firmware_rollouts, public.firmware_updates,
  public.integration_activity, public.integration_jobs, public.integration_metrics, public.webhook_attempts,
  public.webhook_deliveries, public.webhook_endpoints
  to authenticated;
grant insert (organization_id, integration_type, name, status, settings), update (name, status, settings), delete
  on public.device_integrations to authenticated;
grant insert (device_id, name, payload, expires_at) on public.device_commands to authenticated;
grant insert (organization_id, integration_id, kind, request) on public.integration_jobs to authenticated;

grant execute on function
  public.begin_provisioning, public.cancel_deliveries, public.cancel_delivery, public.cancel_job, public.cancel_rollout,
  public.failed_messages, public.finish_provisioning, public.issue_id, public.list_integrations, public.read_quotas,
  public.record_remote_write, public.record_test,
  public.replay_deliveries, public.replay_delivery, public.replay_messages, public.require_role, public.resolve_conflict,
  public.sealed_config, public.send_command, public.start_rollout, public.take_tokens, public.write_integration
  to authenticated;
grant execute on function private.write_cursor to authenticated;
-- What the index of hardware ids is made with: whoever writes a device calls them.
grant execute on function private.hardware_keys, private.read_strings to authenticated;
grant execute on function
  public.devices(public.device_messages), public.device_integrations(public.device_messages),
  public.device_integrations(public.device_commands), public.device_integrations(public.webhook_deliveries),
  public.device_integrations(public.integration_activity)
  to authenticated, service_role;

-- The service: scheduler, worker and receivers.

grant select, insert, update, delete on
  public.alerts, public.device_commands, public.device_conflicts, public.device_integrations, public.device_links,
  public.device_messages, public.device_provisionings, public.firmware_rollouts, public.firmware_updates,
  public.integration_activity, public.integration_jobs, public.integration_metrics, public.integration_schedules,
  public.webhook_attempts, public.webhook_deliveries, public.webhook_endpoints, private.webhook_sends
  to service_role;
grant select on public.audit_log, private.ended_organizations, private.provisioning_secrets, private.sealed_integrations to service_role;
grant select, insert, delete on private.message_ledger to service_role;
grant select, insert, update, delete on private.fan_outs to service_role;
grant select, insert on private.job_sightings to service_role;
grant delete on private.provisioning_secrets to service_role;
grant select, insert, update on private.rate_limits, private.delivery_turns to service_role;

grant execute on function
  public.claim_rollout, public.confirm_exports, public.count_sealed, public.end_provisioning,
  public.erase_organizations, public.explain_unopened,
  public.fail_rollout, public.finish_commands, public.finish_deliveries, public.finish_job, public.finish_session,
  public.ingest_batch, public.ingest_history, public.ingest_messages, public.ingest_retained, public.confirm_session,
  private.find_last_words, public.lease_commands, public.lease_deliveries, public.lease_jobs,
  public.lease_provisionings, public.lease_sessions, public.link_devices, public.list_unlinked, public.list_unsighted,
  public.mark_devices, public.park_session, public.plan_provisionings, public.plan_rollouts, public.plan_syncs,
  public.prune_audit_log, public.prune_conflicts, public.prune_deliveries, public.prune_firmware, public.prune_history,
  public.prune_idempotency_keys, public.prune_invitations, public.prune_issued_ids, public.prune_jobs, public.prune_messages, public.prune_rate_limits, public.prune_refusals,
  public.read_integration_keys, public.read_stale_seals, public.receive_messages, public.receiver_configs,
  public.record_activity, public.record_firmware, public.renew_jobs, public.renew_session, public.replace_seals,
  public.rotate_keys, public.run_rollout, public.save_job, public.spread_deliveries, public.settle_rollout, public.sync_devices
  to service_role;
grant execute on function
  private.add_steps, private.choose_alike, private.close_circuit, private.conclude_rollout, private.count_rollout,
  private.count_tries, private.create_devices, private.disable_webhook, private.end_dry_run, private.end_rollout,
  private.end_updates, private.find_claim, private.find_heads, private.find_reading, private.hardware_keys,
  private.finish_provisioning, private.finish_together, private.hold_history, private.hold_job, private.is_free, private.is_in_step, private.is_to_yield,
  private.is_same_reading, private.judge_endpoint, private.judge_endpoints, private.judge_field, private.judge_status,
  private.last_heard, private.lease_picked, private.link_device, private.link_found, private.list_facts, private.list_queues, private.list_line, private.list_command_queues, private.list_waiting_commands, private.list_waiting_jobs,
  private.is_next, private.find_due_slot, private.list_waiting_sessions, private.lock_endpoints, private.take_places, private.take_turns, private.read_share, private.count_bytes, private.bound_state, private.show_state,
  private.count_commands, private.count_jobs, private.count_patterns, private.count_sessions, private.end_turn, private.expire_commands, private.show_integrations,
  private.log_job, private.log_rollout, private.make_message_partition, private.make_step, private.match_device,
  private.name_late_readings, private.nest_payload, private.open_circuit, private.order_steps, private.pick_turns,
  private.pick_deliveries, private.pick_fields, private.pick_shares, private.raise_alert, private.read_bound, private.read_budget,
  private.count_devices_of, private.hold_devices, private.read_quota, private.require_quota, private.take_device_room,
  private.read_reports, private.remember_events, private.read_strings, private.read_tags, private.receive_posts, private.receive_step,
  private.refuse_late_worker, private.renew_device, private.report_refusals, private.resolve_alerts, private.return_expired,
  private.settle_conflict, private.show_provisioning, private.as_columns, private.queue_messages, private.sync_device, private.sync_interval, private.sync_page,
  private.take_facts, private.tells_same, private.wants_device, private.wants_event, private.write_cursor
  to service_role;
