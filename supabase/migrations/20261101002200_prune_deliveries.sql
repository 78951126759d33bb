-- Maintenance of the outgoing queue: ended deliveries go after a while, their attempts with them.

create function public.prune_deliveries(
  p_retention_days integer default 30, p_dead_days integer default 90, p_limit integer default 5000
) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_pruned integer;
  v_cancelled integer;
  v_orphaned integer;
  v_resolved integer;
begin
  delete from public.webhook_deliveries
   where ctid = any (array(
     select d.ctid from public.webhook_deliveries d
      where d.created_at < now() - make_interval(days => least(p_retention_days, p_dead_days))
        and d.created_at < now() - make_interval(days => case d.status when 'dead' then p_dead_days else p_retention_days end)
        and d.status in ('delivered', 'cancelled', 'dead')
      limit p_limit))
     and status in ('delivered', 'cancelled', 'dead');
  get diagnostics v_pruned = row_count;
  update public.webhook_deliveries
     set status = 'cancelled'
   where ctid = any (array(
     select d.ctid from public.webhook_deliveries d
      where d.created_at < now() - make_interval(days => p_dead_days) and d.status = 'pending'
      limit p_limit))
     and status = 'pending';
  get diagnostics v_cancelled = row_count;
  update public.webhook_deliveries
     set status = 'cancelled', lease_token = null
   where id = any (array(
     select d.id
       from unnest(private.list_queues(500)) q(integration_id)
       join public.webhook_deliveries d on d.integration_id = q.integration_id and d.stage is not null
      where not exists (select from public.device_integrations i where i.id = q.integration_id)
      limit p_limit));
  get diagnostics v_orphaned = row_count;
  delete from public.alerts
   where ctid = any (array(
     select a.ctid from public.alerts a where a.resolved_at < now() - make_interval(days => p_dead_days) limit p_limit));
  get diagnostics v_resolved = row_count;
  return jsonb_build_object('deliveries_pruned', v_pruned, 'deliveries_cancelled', v_cancelled + v_orphaned, 'alerts_pruned', v_resolved);
end
$$;
comment on function public.prune_deliveries is
  'Maintenance, in batches: forgets delivered and cancelled deliveries after 30 days, dead ones after 90, as long as their messages are kept to be replayed; cancels what waited that long or whose webhook was deleted, and forgets alerts that were resolved as long ago.';
revoke execute on function public.prune_deliveries from public, anon, authenticated;
grant execute on function public.prune_deliveries to service_role;
