-- What admins do to the outgoing queue by hand: send again, and take off. Same webhook-id, today's secret and config.

create function private.has_message(p_organization_id uuid, p_message_id uuid, p_received_at timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  -- By the key alone, and then whose it is: by organization and time the planner would read all of its batch for each.
  return exists (
      select from (select m.organization_id from public.device_messages m where m.id = p_message_id and m.received_at = p_received_at offset 0) m
       where m.organization_id = p_organization_id)
    or exists (
      select from public.integration_events e where e.id = p_message_id and e.organization_id = p_organization_id);
end
$$;
comment on function private.has_message is 'Whether the message or event of a delivery is still there: it may be past its retention.';

create function private.show_delivery(p_organization_id uuid, p_id uuid) returns jsonb
language sql stable set search_path = ''
as $$
  select to_jsonb(shown)
    from (
      select d.id, d.organization_id, d.integration_id, d.event_type, d.message_id, d.message_received_at, d.status,
             d.attempts, d.due_at, d.created_at, d.replayed_at, d.recipient, d.report
        from public.webhook_deliveries d
       where d.organization_id = p_organization_id and d.id = p_id
    ) shown
$$;
comment on function private.show_delivery is 'One delivery as its members may read it.';

create function private.lock_delivery(p_organization_id uuid, p_integration_id uuid, p_delivery_id uuid)
returns public.webhook_deliveries
language plpgsql volatile set search_path = ''
as $$
declare
  v_delivery public.webhook_deliveries;
begin
  select * into v_delivery
    from public.webhook_deliveries d
   where d.id = p_delivery_id and d.organization_id = p_organization_id and d.integration_id = p_integration_id
     for update;
  if not found then
    raise exception 'This integration has no such delivery.' using errcode = 'PT404';
  end if;
  return v_delivery;
end
$$;
comment on function private.lock_delivery is 'One delivery of the integration, locked; PT404 where it has no such.';

create function private.queue_again(p_ids uuid[]) returns void
language sql volatile set search_path = ''
as $$
  with queued as (
    update public.webhook_deliveries
       set status = 'pending', due_at = now(), replayed_at = now(), lease_token = null, gathered_by = null,
           -- What is said of the message that went is said of no other.
           report = case when reference is not null then 'again' end
     where id = any (p_ids)
    returning integration_id, organization_id
  )
  insert into private.metric_tallies (integration_id, organization_id, minute, enqueued)
  select q.integration_id, q.organization_id, date_trunc('minute', now()), count(*) from queued q group by 1, 2
$$;
comment on function private.queue_again is 'Puts deliveries that have ended at the end of the queue, for one attempt.';

create function public.replay_delivery(p_integration_id uuid, p_delivery_id uuid) returns jsonb
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
  if not private.has_message(v_organization_id, v_delivery.message_id, v_delivery.message_received_at) then
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
comment on function public.replay_delivery is
  'Queues a delivery again, whether its integration is active or not. PT409 while it is on its way, PT410 where its message is gone.';

create function private.refuse_unknown(p_filter jsonb, p_known text[]) returns void
language plpgsql immutable set search_path = ''
as $$
declare
  v_unknown text := (select string_agg(name, ', ' order by name) from jsonb_object_keys(p_filter - p_known) as name);
begin
  if v_unknown is not null then
    raise exception 'Unknown: %. What narrows the range is %.', v_unknown, array_to_string(p_known, ', ') using errcode = '22023';
  end if;
end
$$;
comment on function private.refuse_unknown is 'Refuses, by name, what would not narrow a range: misspelt, it would be all of the queue.';

create function public.replay_deliveries(p_integration_id uuid, p_filter jsonb default '{}') returns jsonb
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
       and private.has_message(v_organization_id, d.message_id, d.message_received_at)
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
         and private.has_message(v_organization_id, d.message_id, d.message_received_at)
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
comment on function public.replay_deliveries is
  '{status? (dead), from?, to? (exclusive), event_type?, not_replayed_since?}, by created_at: queues the oldest 10,000 again; left counts to 100,000. '
  'Whoever goes on gives the first call''s replayed_at as not_replayed_since, so that what was delivered meanwhile is not sent once more. '
  'Those whose message is past its retention are passed over.';

create function public.cancel_delivery(p_integration_id uuid, p_delivery_id uuid) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_delivery public.webhook_deliveries := private.lock_delivery(v_organization_id, p_integration_id, p_delivery_id);
begin
  if v_delivery.status in ('delivered', 'dead') then
    raise exception 'This delivery is % already; only what is still to come can be cancelled.', v_delivery.status
      using errcode = 'PT409', hint = 'wrong_status';
  end if;
  if v_delivery.status <> 'cancelled' then
    perform private.end_as_cancelled(array[p_delivery_id]);
    perform private.log_queue_change(
      p_integration_id, 'deliveries.cancelled', 'A delivery was cancelled.',
      jsonb_build_object('delivery_id', p_delivery_id, 'count', 1));
  end if;
  return private.show_delivery(v_organization_id, p_delivery_id);
end
$$;
comment on function public.cancel_delivery is
  'Takes a delivery off the queue; PT409 once it is delivered or dead. A request that is under way may still arrive.';

create function public.cancel_deliveries(p_integration_id uuid, p_filter jsonb default '{}') returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_organization_id uuid := private.admit_change(p_integration_id);
  v_most constant integer := 10000;
  v_from timestamptz := coalesce((p_filter ->> 'from')::timestamptz, '-infinity');
  v_to timestamptz := coalesce((p_filter ->> 'to')::timestamptz, 'infinity');
  v_event_type text := p_filter ->> 'event_type';
  v_cancelled integer;
begin
  perform private.refuse_unknown(p_filter, array['from', 'to', 'event_type']);
  v_cancelled := private.end_as_cancelled(array(
    select d.id from public.webhook_deliveries d
     where d.integration_id = p_integration_id and d.organization_id = v_organization_id and d.stage is not null
       and d.created_at >= v_from and d.created_at < v_to and (v_event_type is null or d.event_type = v_event_type)
     limit v_most
     for update skip locked));
  if v_cancelled > 0 then
    perform private.log_queue_change(
      p_integration_id, 'deliveries.cancelled', format('%s deliveries were cancelled.', v_cancelled),
      jsonb_build_object(
        'count', v_cancelled, 'from', (p_filter ->> 'from')::timestamptz, 'to', (p_filter ->> 'to')::timestamptz,
        'event_type', v_event_type));
  end if;
  return jsonb_build_object('cancelled', v_cancelled, 'more', v_cancelled = v_most);
end
$$;
comment on function public.cancel_deliveries is
  '{from?, to? (exclusive), event_type?}, by created_at: takes up to 10,000 deliveries off the queue; more says whether to call again.';

revoke execute on function private.has_message, private.show_delivery, private.lock_delivery, private.queue_again, private.refuse_unknown,
  public.replay_delivery, public.replay_deliveries, public.cancel_delivery, public.cancel_deliveries from public, anon, authenticated,
  service_role;
