-- Leases of sessions: taken, renewed, parked, ended.

create function public.lease_sessions(p_limit integer, p_lease_seconds integer)
returns table (
  id uuid, organization_id uuid, integration_type text, name text, settings jsonb, sealed_sent text,
  sealed_kept text, seal_count integer, state jsonb, lease_token uuid
)
language sql volatile set search_path = ''
as $$
  update public.integration_schedules s
     set lease_token = gen_random_uuid(),
         due_at = now() + make_interval(secs => p_lease_seconds)
    from private.sealed_integrations i
   where s.integration_id = any (array(
           select d.integration_id from public.integration_schedules d
            where d.due_at <= now()
            order by d.due_at
            limit p_limit
            for update skip locked))
     and i.id = s.integration_id and i.organization_id = s.organization_id
  returning i.id, i.organization_id, i.integration_type, i.name, i.settings, i.sealed_sent, i.sealed_kept, i.seal_count,
    s.state, s.lease_token
$$;
comment on function public.lease_sessions is 'Takes up to p_limit due integrations for p_lease_seconds, with their sealed config and kept state.';

create function public.renew_session(p_integration_id uuid, p_lease_token uuid, p_lease_seconds integer) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.integration_schedules
     set due_at = now() + make_interval(secs => p_lease_seconds)
   where integration_id = p_integration_id and lease_token = p_lease_token;
  if not found then
    perform private.refuse_late_worker();
  end if;
end
$$;
comment on function public.renew_session is 'Extends a lease that is still held; PT409 when it was lost.';

create function public.park_session(p_integration_id uuid, p_lease_token uuid) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  update public.integration_schedules
     set lease_token = null, attempts = 0, due_at = 'infinity'
   where integration_id = p_integration_id and lease_token = p_lease_token;
  if not found then
    perform private.refuse_late_worker();
  end if;
  update public.device_integrations
     set status = 'active', error_message = null
   where id = p_integration_id and status = 'error';
end
$$;
comment on function public.park_session is
  'Ends the lease of an integration whose config is right but has nothing to poll; a change of it makes it due again.';

create function public.finish_session(
  p_integration_id uuid, p_lease_token uuid, p_error text default null, p_due_seconds double precision default 0,
  p_summary jsonb default null
) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_attempts integer;
  v_before public.device_integrations;
  v_message text := left(coalesce(p_error, p_summary ->> 'refused'), 2000);
begin
  update public.integration_schedules
     set lease_token = null,
         attempts = case when p_error is null then 0 else attempts + 1 end,
         due_at = case
           when p_error is null then now() + p_due_seconds * interval '1 second'
           else now() + least(15 * 2 ^ least(attempts, 6), 300) * (0.8 + 0.4 * random()) * interval '1 second'
         end
   where integration_id = p_integration_id and lease_token = p_lease_token
  returning attempts into v_attempts;
  if not found then
    perform private.refuse_late_worker();
  end if;
  select * into v_before from public.device_integrations where id = p_integration_id for update;
  update public.device_integrations
     set status = case when p_error is null then 'active' else 'error' end,
         error_message = v_message,
         sync_status = case when p_error is null then 'ok' else 'failed' end,
         last_sync_at = case when p_error is null then now() else last_sync_at end,
         last_session = coalesce(p_summary, last_session)
   where id = p_integration_id;
  if v_message is distinct from v_before.error_message and (p_error is not null or v_message is null) then
    insert into public.integration_activity (organization_id, integration_id, kind, level, message, details)
    values (
      v_before.organization_id, p_integration_id,
      case when p_error is null then 'session.recovered' else 'session.failed' end,
      case when p_error is null then 'info' else 'error' end,
      coalesce(v_message, 'The connection works again.'),
      jsonb_build_object('attempts', v_attempts)
    );
  end if;
end
$$;
comment on function public.finish_session is
  'Ends a lease, keeping p_summary as last_session. Success: due again in p_due_seconds; what the other side refused of it shows as error_message. Failure: status error with the reason, tried again in 15 s doubling to 5 min, jittered.';

revoke execute on function public.lease_sessions, public.renew_session, public.park_session, public.finish_session
  from public, anon, authenticated, service_role;
