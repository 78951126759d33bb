-- Pushed messages: what a receiver needs to know of an integration, and storing what it was sent.

create function private.receive_step(p_organization_id uuid) returns interval
language sql stable set search_path = ''
as $$ select interval '1 minute' / private.read_budget(p_organization_id, 'receive', 'integration') $$;
comment on function private.receive_step is 'How long one request puts off the moment its bucket is full again; null for no limit.';

create function private.report_refusals(p_integration_ids uuid[]) returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_id uuid;
begin
  foreach v_id in array p_integration_ids loop
    perform private.raise_alert(
      v_id, 'receive.refused', 'warning',
      'Many requests that were pushed to this integration in the last hour were refused: they did not bring the proof that '
      'webhook_authentication asks for, or were of another project. Nothing of them was stored. If messages are missing, '
      'give their sender the webhook_secret of this integration; if none are, somebody else has its address.', '{}');
    update public.alerts a set details = jsonb_build_object('last_at', now())
      from public.device_integrations i
     where i.id = v_id and a.organization_id = i.organization_id and a.integration_id = i.id and a.kind = 'receive.refused'
       and a.resolved_at is null;
  end loop;
end
$$;
comment on function private.report_refusals is
  'Raises the alert that many pushed requests were refused, or says in the open one that there were more.';

create function public.prune_refusals() returns jsonb
language plpgsql volatile security definer set search_path = '' set lock_timeout = '500ms'
as $$
declare
  v_resolved integer;
begin
  with resolved as (
    update public.alerts set resolved_at = now()
     where id = any (array(
       select a.id from public.alerts a
        where a.kind = 'receive.refused' and a.resolved_at is null
          -- Twice as long as it takes a function's process to tell of more.
          and (a.details ->> 'last_at')::timestamptz < now() - interval '2 hours'
          for update skip locked))
    returning organization_id, integration_id, kind
  )
  insert into public.integration_activity (organization_id, integration_id, kind, message, details)
  select r.organization_id, r.integration_id, 'alert.resolved', 'Pushed requests are no longer refused in great number.',
         jsonb_build_object('kinds', jsonb_build_array(r.kind))
    from resolved r;
  get diagnostics v_resolved = row_count;
  return jsonb_build_object('refusals', v_resolved);
end
$$;
comment on function public.prune_refusals is 'Maintenance: ends the alerts of refused requests that nobody has told of for two hours.';

create function public.receiver_configs(p_integration_ids uuid[], p_refused uuid[] default '{}')
returns json
language plpgsql volatile set search_path = '' -- its plans are kept, which those of a SQL function are not
as $$
begin
  if p_refused <> '{}' then
    perform private.report_refusals(p_refused);
  end if;
  return coalesce((select json_agg(c) from (
    select s.*, i.error_message,
           coalesce(greatest(0, ceil(extract(
             epoch from r.full_at + private.receive_step(i.organization_id) - interval '1 minute' - clock_timestamp()))), 0)::integer
             as wait_seconds
      from public.device_integrations i
      join private.sealed_integrations s on s.id = i.id and s.organization_id = i.organization_id
      left join private.rate_limits r on r.subject = i.id and r.budget = 'receive'
     where i.id = any (p_integration_ids) and i.status <> 'inactive') c), '[]');
end
$$;
comment on function public.receiver_configs is
  'The sealed configs of integrations that are not inactive, and for how many seconds each has used up the requests it may have a minute. Takes no token: who is unproven must not empty a bucket. p_refused are integrations that many requests were refused to lately, to be told to their admins.';

create function private.receive_posts(
  p_organization_id uuid, p_integration_id uuid, p_messages jsonb, p_requests integer, p_bytes bigint default 0
) returns jsonb
language plpgsql volatile set search_path = '' set lock_timeout = '75ms'
as $$
declare
  v_counts jsonb;
  v_taken interval := p_requests * private.receive_step(p_organization_id);
begin
  v_counts := public.ingest_messages(
    p_integration_id, private.name_late_readings(p_integration_id, p_messages), p_name_duplicates => true,
    p_bytes => coalesce(p_bytes, 0));
  if v_taken is not null then
    insert into private.rate_limits as r (subject, budget, full_at)
    values (p_integration_id, 'receive', clock_timestamp() + v_taken)
    on conflict (subject, budget) do update set full_at = greatest(r.full_at, clock_timestamp()) + v_taken;
  end if;
  return v_counts;
exception
  when others then
    return jsonb_build_object('problem', jsonb_build_object('code', sqlstate, 'message', sqlerrm));
end
$$;
comment on function private.receive_posts is
  'Stores what requests brought to one integration and takes as many tokens of its bucket, on credit where it has fewer; what goes wrong is undone and told. '
  'Waits for nobody long: a statement of its users may hold its devices for seconds, and others are waiting with it.';

create function public.receive_messages(p_posts jsonb) returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_post record;
  v_told jsonb;
  v_ids text[] := '{}';
  v_all jsonb[] := '{}';
begin
  for v_post in
    -- In the order of their organizations and ids, so that two calls never wait for each other.
    select i.organization_id, p.* from jsonb_to_recordset(p_posts) as p(integration_id uuid, messages jsonb, requests integer, bytes bigint)
      left join lateral (select n.organization_id from public.device_integrations n where n.id = p.integration_id offset 0) i on true
     order by i.organization_id, p.integration_id
  loop
    -- Where an organization's own statement was in the way, it is that of all its others too.
    if v_told #>> '{problem,code}' is distinct from '55P03' or v_told ->> 'organization_id' is distinct from v_post.organization_id::text then
      v_told := private.receive_posts(v_post.organization_id, v_post.integration_id, v_post.messages, v_post.requests, v_post.bytes)
        || jsonb_build_object('organization_id', v_post.organization_id);
    end if;
    v_ids := v_ids || v_post.integration_id::text;
    v_all := v_all || (v_told - 'organization_id');
  end loop;
  return (select coalesce(jsonb_object_agg(t.id, t.told), '{}') from unnest(v_ids, v_all) t(id, told));
end
$$;
comment on function public.receive_messages is
  'Stores what proven requests brought to several integrations, [{integration_id, messages, requests, bytes}], each as if it were alone: {integration_id: counts of ingest_messages, or {problem}}. Problem 55P03: '
  'a statement of its own organization is in the way; send it again.';

revoke execute on function public.prune_refusals, private.receive_step, private.report_refusals, public.receiver_configs,
  private.receive_posts, public.receive_messages from public, anon, authenticated, service_role;
