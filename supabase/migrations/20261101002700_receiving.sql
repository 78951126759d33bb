-- Pushed messages: what a receiver needs to know of an integration, and storing what it was sent.

grant select, insert, update on private.rate_limits to service_role;

create function private.receive_step(p_limit integer) returns interval
language sql immutable parallel safe set search_path = ''
as $$
  -- A million a minute is no limit, and keeps the step above a microsecond.
  select interval '1 minute' / nullif(least(p_limit, 1000000), 0)
$$;
comment on function private.receive_step is 'How long one request puts off the moment its bucket is full again; null for no limit.';

create function public.receiver_configs(p_integration_ids uuid[], p_limit integer) returns jsonb
language plpgsql stable set search_path = '' -- its plans are kept, which those of a SQL function are not
as $$
begin
  return coalesce((select jsonb_agg(to_jsonb(c)) from (
    select i.id, i.organization_id, i.integration_type, i.name, i.settings, i.api_key_encrypted, i.error_message,
           coalesce(greatest(0, ceil(extract(
             epoch from r.full_at + private.receive_step(p_limit) - interval '1 minute' - clock_timestamp()))), 0)::integer
             as wait_seconds
      from public.device_integrations i
      left join private.rate_limits r on r.subject = i.id and r.budget = 'receive'
     where i.id = any (p_integration_ids) and i.status <> 'inactive') c), '[]');
end
$$;
comment on function public.receiver_configs is
  'The sealed configs of integrations that are not inactive, and for how many seconds each has used up its p_limit requests a minute. Takes no token: who is unproven must not empty a bucket.';

create function private.receive_posts(p_integration_id uuid, p_messages jsonb, p_requests integer, p_limit integer)
returns jsonb
language plpgsql volatile set search_path = ''
as $$
declare
  v_counts jsonb;
  v_taken interval := p_requests * private.receive_step(p_limit);
begin
  v_counts := public.ingest_messages(p_integration_id, p_messages, p_name_duplicates => true);
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
  'Stores what requests brought to one integration and takes as many tokens of its bucket, on credit where it has fewer; what goes wrong is undone and told.';

create function public.receive_messages(p_posts jsonb, p_limit integer) returns jsonb
language sql volatile set search_path = ''
as $$
  -- In the order of their ids, so that two calls never wait for each other.
  select coalesce(jsonb_object_agg(p.integration_id, private.receive_posts(p.integration_id, p.messages, p.requests, p_limit)), '{}')
    from (
      select * from jsonb_to_recordset(p_posts) as p(integration_id uuid, messages jsonb, requests integer)
       order by integration_id) p
$$;
comment on function public.receive_messages is
  'Stores what proven requests brought to several integrations, [{integration_id, messages, requests}], each as if it were alone: {integration_id: counts of ingest_messages, or {problem}}.';

revoke execute on function private.receive_step, private.receive_posts from public;
revoke execute on function public.receiver_configs, public.receive_messages from public, anon, authenticated;
grant execute on function private.receive_step, private.receive_posts to service_role;
grant execute on function public.receiver_configs, public.receive_messages to service_role;
