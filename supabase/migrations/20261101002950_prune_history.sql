-- Forgetting what happened long ago: activity, metrics, and what was told to devices.

create index integration_activity_age on public.integration_activity using brin (created_at) with (autosummarize = on);
create index integration_metrics_age on public.integration_metrics using brin (minute) with (autosummarize = on);
create index device_commands_age on public.device_commands using brin (created_at) with (autosummarize = on);

create function public.prune_history(p_retention_days integer default 90, p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before timestamptz := now() - make_interval(days => p_retention_days);
  v_activity integer;
  v_metrics integer;
  v_commands integer;
  v_provisionings integer;
begin
  delete from public.integration_activity
   where ctid = any (array(
     select a.ctid from public.integration_activity a where a.created_at < v_before limit p_limit for update skip locked));
  get diagnostics v_activity = row_count;
  delete from public.integration_metrics
   where ctid = any (array(
     select m.ctid from public.integration_metrics m where m.minute < v_before limit p_limit for update skip locked));
  get diagnostics v_metrics = row_count;
  delete from public.device_commands
   where ctid = any (array(
     select c.ctid from public.device_commands c
      where c.created_at < v_before and c.finished_at < v_before
      limit p_limit for update skip locked));
  get diagnostics v_commands = row_count;
  delete from public.device_provisionings
   where ctid = any (array(
     select p.ctid from public.device_provisionings p
      where p.status = 'failed' and p.finished_at < v_before
      limit p_limit for update skip locked));
  get diagnostics v_provisionings = row_count;
  return jsonb_build_object(
    'activity', v_activity, 'metrics', v_metrics, 'commands', v_commands, 'provisionings', v_provisionings);
end
$$;
comment on function public.prune_history is
  'Maintenance, in batches: forgets activity, metrics, commands that have ended and provisionings that failed after 90 days. A device''s own credentials stay with it.';
revoke execute on function public.prune_history from public, anon, authenticated;
grant execute on function public.prune_history to service_role;
