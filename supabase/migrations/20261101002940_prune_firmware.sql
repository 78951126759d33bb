-- Forgetting what became of firmware long ago.

create index firmware_updates_created on public.firmware_updates using brin (created_at);
create index firmware_rollouts_finished on public.firmware_rollouts (finished_at) where finished_at is not null;

create function public.prune_firmware(p_retention_days integer default 365, p_limit integer default 20000) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before timestamptz := now() - make_interval(days => p_retention_days);
  v_updates integer;
  v_rollouts integer;
begin
  delete from public.firmware_updates
   where ctid = any (array(
     select u.ctid from public.firmware_updates u
      where u.created_at < v_before and u.at < v_before
        and not exists (
          select from public.firmware_rollouts r where r.id = u.rollout_id and r.status in ('starting', 'running'))
      limit p_limit));
  get diagnostics v_updates = row_count;
  delete from public.firmware_rollouts
   where ctid = any (array(
     select r.ctid from public.firmware_rollouts r where r.finished_at < v_before limit p_limit));
  get diagnostics v_rollouts = row_count;
  return jsonb_build_object('firmware_updates', v_updates, 'firmware_rollouts', v_rollouts);
end
$$;
comment on function public.prune_firmware is
  'Maintenance: deletes updates that nothing was heard of within the retention, and rollouts that ended before it, in batches; never those of an open rollout.';
revoke execute on function public.prune_firmware from public, anon, authenticated;
grant execute on function public.prune_firmware to service_role;
