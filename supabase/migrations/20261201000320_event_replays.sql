-- Replays of events that no device said: what is sent again may be an alert as well as a message.

create function private.is_kept(p_organization_id uuid, p_id uuid, p_at timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
      select from public.device_messages m where m.id = p_id and m.received_at = p_at and m.organization_id = p_organization_id)
    or exists (
      select from public.integration_events e where e.id = p_id and e.organization_id = p_organization_id);
end
$$;
comment on function private.is_kept is 'Whether the message or event of a delivery is still there to be sent again.';

create or replace function public.replay_delivery(p_integration_id uuid, p_delivery_id uuid) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_delivery public.webhook_deliveries := private.lock_delivery(v_organization_id, p_integration_id, p_delivery_id);
begin
  if v_delivery.status in ('pending', 'delivering') then
    raise exception 'This delivery is on its way already; wait until it is delivered or dead, or cancel it first.'
      using errcode = 'PT409', hint = 'wrong_status';
  end if;
  if not private.is_kept(v_organization_id, v_delivery.message_id, v_delivery.message_received_at) then
    raise exception 'The message of this delivery is past its retention, so there is nothing left to send again.'
      using errcode = 'PT410';
  end if;
  perform private.queue_again(array[p_delivery_id]);
  perform private.log_queue_change(
    p_integration_id, 'deliveries.replayed', 'A delivery was queued again.',
    jsonb_build_object('delivery_id', p_delivery_id, 'count', 1));
  return private.show_delivery(v_organization_id, p_delivery_id);
end
$$;

create or replace function public.replay_deliveries(p_integration_id uuid, p_filter jsonb default '{}') returns jsonb
language plpgsql volatile security definer set search_path = '' set plan_cache_mode = force_custom_plan
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_most constant integer := 10000;
  v_most_counted constant integer := 100000;
  v_status text := coalesce(p_filter ->> 'status', 'dead');
  v_from timestamptz := coalesce((p_filter ->> 'from')::timestamptz, '-infinity');
  v_to timestamptz := coalesce((p_filter ->> 'to')::timestamptz, 'infinity');
  v_event_type text := p_filter ->> 'event_type';
  v_not_since timestamptz := coalesce((p_filter ->> 'not_replayed_since')::timestamptz, 'infinity');
  v_ids uuid[];
  v_left bigint := 0;
begin
  perform private.refuse_unknown(p_filter, array['status', 'from', 'to', 'event_type', 'not_replayed_since']);
  if v_status not in ('dead', 'delivered', 'cancelled') then
    raise exception 'What can be replayed is dead, delivered or cancelled.' using errcode = '22023';
  end if;
  v_ids := array(
    select d.id from public.webhook_deliveries d
     where d.integration_id = p_integration_id and d.organization_id = v_organization_id
       and d.status = v_status and d.created_at >= v_from and d.created_at < v_to
       and (v_event_type is null or d.event_type = v_event_type)
       and coalesce(d.replayed_at, '-infinity') < v_not_since
       and private.is_kept(v_organization_id, d.message_id, d.message_received_at)
     order by d.created_at, d.id
     limit v_most
     for update of d skip locked);
  perform private.queue_again(v_ids);
  if cardinality(v_ids) = v_most then
    select count(*) into v_left from (
      select from public.webhook_deliveries d
       where d.integration_id = p_integration_id and d.organization_id = v_organization_id
       and d.status = v_status and d.created_at >= v_from and d.created_at < v_to
         and (v_event_type is null or d.event_type = v_event_type)
         and coalesce(d.replayed_at, '-infinity') < v_not_since
         and private.is_kept(v_organization_id, d.message_id, d.message_received_at)
       limit v_most_counted) remaining;
  end if;
  if cardinality(v_ids) > 0 then
    perform private.log_queue_change(
      p_integration_id, 'deliveries.replayed', format('%s deliveries were queued again.', cardinality(v_ids)),
      jsonb_build_object(
        'count', cardinality(v_ids), 'status', v_status, 'from', (p_filter ->> 'from')::timestamptz,
        'to', (p_filter ->> 'to')::timestamptz, 'event_type', v_event_type,
        'not_replayed_since', (p_filter ->> 'not_replayed_since')::timestamptz));
  end if;
  return jsonb_build_object('replayed', cardinality(v_ids), 'left', v_left, 'replayed_at', now());
end
$$;

revoke execute on function private.is_kept from public, anon, authenticated, service_role;
