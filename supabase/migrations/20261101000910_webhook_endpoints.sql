-- How each webhook's endpoint is doing: the circuit breaker, what was sent in the last minute, and the lock of both.

create table public.webhook_endpoints (
  integration_id uuid primary key,
  organization_id uuid not null,
  circuit text not null default 'closed' check (circuit in ('closed', 'open')),
  failures integer not null default 0,
  failing_since timestamptz,
  pause_seconds integer not null default 0,
  probe_at timestamptz not null default '-infinity',
  leased_at timestamptz not null default '-infinity',
  foreign key (organization_id, integration_id)
    references public.device_integrations (organization_id, id) on delete cascade
) with (fillfactor = 60);
comment on table public.webhook_endpoints is
  'Made when first leased for. Whoever leases or finishes deliveries of a webhook holds its row, so its bounds hold over any number of dispatchers.';
comment on column public.webhook_endpoints.failures is 'Failed attempts in a row; a success sets it back.';
comment on column public.webhook_endpoints.probe_at is 'While the circuit is open: when one delivery may go out to see whether the endpoint works again.';
create index webhook_endpoints_organization on public.webhook_endpoints (organization_id, integration_id);

alter table public.webhook_endpoints enable row level security;
create policy "Members see how their endpoints are doing" on public.webhook_endpoints
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create table private.webhook_sends (
  integration_id uuid not null references public.webhook_endpoints (integration_id) on delete cascade,
  second timestamptz not null,
  sent integer not null,
  primary key (integration_id, second)
) with (fillfactor = 60);
comment on table private.webhook_sends is
  'Ended attempts by the second they ended in, for the sliding minute. An end is never before the arrival, so the bound holds as the endpoint measures it.';

alter table private.webhook_sends enable row level security;

create function private.count_tries(p_settings jsonb) returns integer
language sql immutable set search_path = ''
as $$
  select 1 + case
    when jsonb_typeof(p_settings -> 'retry_schedule') = 'array' then jsonb_array_length(p_settings -> 'retry_schedule')
    else 3
  end
$$;
comment on function private.count_tries is 'How often a delivery is tried at most.';

create function private.reset_endpoint() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.webhook_endpoints
     set circuit = 'closed', failures = 0, failing_since = null, pause_seconds = 0
   where integration_id = new.id and organization_id = new.organization_id and (circuit, failures) is distinct from ('closed', 0);
  perform private.resolve_alerts(new.id, 'The integration was changed.');
  return null;
end
$$;
comment on function private.reset_endpoint is 'Somebody changed the integration, so it is tried anew.';
create trigger reset_endpoint after update of settings, seal_count, status on public.device_integrations
  for each row
  when (
    old.settings is distinct from new.settings
    or old.seal_count <> new.seal_count
    or (old.status = 'inactive') <> (new.status = 'inactive')
  )
  execute function private.reset_endpoint();

create function private.disable_webhook(p_integration_id uuid, p_kind text, p_reason text, p_details jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.device_integrations set status = 'inactive', error_message = left(p_reason, 2000)
   where id = p_integration_id and status <> 'inactive';
  -- After the update: that resolves the alerts there were.
  if found then
    perform private.raise_alert(p_integration_id, p_kind, 'error', p_reason, p_details);
  end if;
end
$$;
comment on function private.disable_webhook is 'Switches a webhook off with an alert; its queue stays, and so does the reason until it is switched on.';

create function private.open_circuit(p_integration_id uuid, p_kind text, p_reason text, p_pause_seconds integer) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.webhook_endpoints
     set circuit = 'open', pause_seconds = p_pause_seconds, probe_at = now() + make_interval(secs => p_pause_seconds)
   where integration_id = p_integration_id;
  update public.device_integrations set status = 'error', error_message = left(p_reason, 2000)
   where id = p_integration_id and status <> 'inactive'
     and (status, error_message) is distinct from ('error', left(p_reason, 2000));
  perform private.raise_alert(p_integration_id, p_kind, 'warning', p_reason, '{}');
end
$$;
comment on function private.open_circuit is 'Nothing is sent for so many seconds, then one delivery; status and an alert say why.';

create function private.close_circuit(p_integration_id uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.webhook_endpoints
     set circuit = 'closed', failures = 0, failing_since = null, pause_seconds = 0
   where integration_id = p_integration_id;
  update public.device_integrations set status = 'active', error_message = null
   where id = p_integration_id and status = 'error';
  perform private.resolve_alerts(p_integration_id, 'The endpoint works again.', 'notice.%');
end
$$;
comment on function private.close_circuit is 'The endpoint works: deliveries go out again, and alerts are over.';

create function private.judge_endpoint(
  p_integration_id uuid, p_delivered bigint, p_failed bigint, p_gone boolean, p_unusable text, p_last text
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  c_failures constant integer := 10;
  c_pause constant integer := 30;
  c_longest_pause constant integer := 600;
  c_disable_after constant interval := '5 days';
  v_now public.webhook_endpoints;
begin
  if p_delivered > 0 then
    perform private.close_circuit(p_integration_id);
  elsif p_failed > 0 then
    update public.webhook_endpoints
       set failures = failures + p_failed, failing_since = coalesce(failing_since, now())
     where integration_id = p_integration_id
    returning * into v_now;
  end if;
  if p_gone then
    perform private.disable_webhook(p_integration_id, 'webhook.gone',
      'The endpoint answered 410 Gone, so the webhook was switched off. Switch it on again when the endpoint is back.', '{}');
  elsif p_unusable is not null then
    perform private.open_circuit(p_integration_id, 'webhook.unusable', p_unusable, 60);
  elsif v_now.failures >= c_failures and v_now.failing_since <= now() - c_disable_after then
    perform private.disable_webhook(p_integration_id, 'webhook.disabled', format(
      'Nothing but failures since %s UTC (last: %s), so the webhook was switched off. Switch it on again when the endpoint works.',
      to_char(v_now.failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), p_last),
      jsonb_build_object('failures', v_now.failures, 'failing_since', v_now.failing_since));
  -- What was under way when the circuit opened says nothing new; the probe that failed does.
  elsif v_now.failures >= c_failures and (v_now.circuit = 'closed' or v_now.probe_at <= now()) then
    perform private.open_circuit(p_integration_id, 'webhook.failing', format(
      '%s attempts in a row failed (last: %s). It is tried one delivery at a time until one succeeds.', v_now.failures, p_last),
      least(greatest(v_now.pause_seconds * 2, c_pause), c_longest_pause));
  end if;
end
$$;
comment on function private.judge_endpoint is
  'What a batch of attempts says about their endpoint. Ten failures in a row open the circuit for 30 s, doubling to 10 min; a success closes it; five days of nothing but failures, or 410, switch the webhook off.';

create function private.judge_endpoints(p_tally jsonb) returns void
language plpgsql volatile set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  perform private.note_attempts(p_tally);
  -- Always by id, so that two that finish at once never wait for each other in a circle.
  perform private.judge_endpoint(t.integration_id, t.delivered, t.failed, t.gone, t.unusable, t.last)
    from jsonb_to_recordset(p_tally) as t(
      integration_id uuid, delivered bigint, failed bigint, gone boolean, unusable text, last text)
    join lateral (select * from public.webhook_endpoints n where n.integration_id = t.integration_id offset 0) e on true
   where t.failed > 0 or t.unusable is not null or e.failures > 0 or e.circuit <> 'closed'
   order by t.integration_id;
end
$$;
comment on function private.judge_endpoints is 'Judges each endpoint of a batch; most have nothing but successes, before and now, and cost nothing.';

revoke all on public.webhook_endpoints from public, anon, authenticated, service_role;
revoke all on private.webhook_sends from public, anon, authenticated, service_role;
revoke execute on function private.count_tries, private.reset_endpoint, private.disable_webhook, private.open_circuit,
  private.close_circuit, private.judge_endpoint, private.judge_endpoints from public, anon, authenticated,
  service_role;
