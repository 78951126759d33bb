-- An alert is raised once, updated while it lasts, damped where it flaps, and told to whoever subscribes. Whoever raises one inserts it.

create function private.merge_alert() returns trigger
language plpgsql security definer set search_path = '' set enable_seqscan = off -- its plans are made while the table is still small
as $$
declare
  v_last bigint;
  v_alert public.alerts;
begin
  -- The last of its kind, in the order of the index: whatever else there was is not read.
  -- A column that is null has to stand in it, or the index is not taken for sorted by what follows.
  if new.integration_id is not null then
    v_last := (
      select a.id from public.alerts a
       where a.organization_id = new.organization_id and a.integration_id = new.integration_id and a.kind = new.kind
       order by a.resolved_at desc nulls first, a.id desc limit 1);
  elsif new.organization_id is not null then
    v_last := (
      select a.id from public.alerts a
       where a.organization_id = new.organization_id and a.integration_id is null and a.kind = new.kind
       order by a.integration_id, a.resolved_at desc nulls first, a.id desc limit 1);
  else
    v_last := (
      select a.id from public.alerts a
       where a.organization_id is null and a.integration_id is null and a.kind = new.kind
       order by a.organization_id, a.integration_id, a.resolved_at desc nulls first, a.id desc limit 1);
  end if;
  select * into v_alert from public.alerts a
   where a.id = v_last and (a.resolved_at is null or a.resolved_at > now() - interval '10 minutes') for update;
  if not found or v_alert.resolved_at is not null and v_alert.flaps = 0 then
    new.flaps := (v_alert.id is not null)::integer;
    return new;
  end if;
  -- What goes up and down between two levels would be told over and over: until it is resolved it only gets worse.
  new.level := case v_alert.level when 'error' then 'error' else new.level end;
  update public.alerts a
     set message = new.message, details = a.details || new.details, level = new.level, updated_at = now(), resolved_at = null,
         flaps = a.flaps + (a.resolved_at is not null)::integer,
         -- What somebody took on was less bad.
         acknowledged_at = case when a.level = new.level then a.acknowledged_at end,
         acknowledged_by = case when a.level = new.level then a.acknowledged_by end
   where a.id = v_alert.id
     -- The same again is not worth a row version, and an event for those who watch the table, more than once a minute.
     and ((a.message, a.level) is distinct from (new.message, new.level) or not a.details @> new.details
          or a.resolved_at is not null or a.updated_at < now() - interval '1 minute');
  return null;
end
$$;
comment on function private.merge_alert is 'Of an alert that is open already that one goes on. One that comes back within ten minutes of its end is a new one, and from then on goes on too. Its level only rises.';
create trigger merge_alert before insert on public.alerts
  for each row when (new.resolved_at is null) execute function private.merge_alert();

create function private.describe_alert(p_alert public.alerts) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object(
    'id', p_alert.id::text, 'key', coalesce(p_alert.integration_id, p_alert.organization_id)::text || '/' || p_alert.kind, 'kind', p_alert.kind, 'level', p_alert.level, 'code', p_alert.code, 'message', p_alert.message, 'details', p_alert.details,
    'integration_id', p_alert.integration_id,
    'integration_name', (
      select i.name from public.device_integrations i where i.id = p_alert.integration_id and i.organization_id = p_alert.organization_id),
    'organization_id', p_alert.organization_id, 'since', p_alert.created_at, 'resolved_at', p_alert.resolved_at,
    'status', case when p_alert.resolved_at is null then 'firing' else 'resolved' end,
    'action', case when p_alert.resolved_at is null then 'trigger' else 'resolve' end,
    'ends_at', coalesce(p_alert.resolved_at, now() + interval '7 days'))
$$;
comment on function private.describe_alert is
  'What subscribers are told of an alert. key is the same for all of its kind about the same. ends_at is when it ended or, while it lasts, in a week: for receivers that forget what has no end.';

create function private.tell_alert(p_alert public.alerts) returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_tells text := case when p_alert.resolved_at is null then 'raised' else 'resolved' end;
begin
  perform private.queue_event(p_alert.organization_id, p_alert.integration_id, 'alert.' || v_tells, private.describe_alert(p_alert));
  update public.alerts set told = v_tells where id = p_alert.id;
end
$$;
comment on function private.tell_alert is 'Queues the event that an alert was raised, or resolved, for whoever subscribes.';

create function private.tell_change() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  if new.resolved_at is null then
    if new.told is distinct from 'raised' or (tg_op = 'UPDATE' and old.level = 'warning' and new.level = 'error') then
      perform private.tell_alert(new);
    end if;
  elsif new.told = 'raised' and new.flaps = 0 then
    perform private.tell_alert(new);
  end if;
  return null;
end
$$;
comment on function private.tell_change is 'Tells an alert when it is raised, becomes an error, or is resolved; the end of one that flaps waits for tell_calm.';
create trigger tell_raised after insert on public.alerts
  for each row execute function private.tell_change();
create trigger tell_changed after update on public.alerts
  for each row when ((old.resolved_at is null, old.level) is distinct from (new.resolved_at is null, new.level))
  execute function private.tell_change();

create function private.tell_calm(p_until timestamptz) returns integer
language plpgsql volatile set search_path = ''
as $$
declare
  v_alert public.alerts;
  v_told integer := 0;
begin
  for v_alert in
    select * from public.alerts a where a.told = 'raised' and a.resolved_at < now() - interval '10 minutes'
     order by a.resolved_at limit 100 for update skip locked
  loop
    perform private.tell_alert(v_alert);
    v_told := v_told + 1;
    exit when clock_timestamp() > p_until;
  end loop;
  return v_told;
end
$$;
comment on function private.tell_calm is 'Tells the end of alerts that flapped and have been calm for ten minutes, until it is too late for more than one.';

create function public.explain_failure(p_integration_id uuid, p_code text, p_message text, p_call text default 'session') returns void
language plpgsql volatile set search_path = ''
as $$
declare
  v_refusals integer;
begin
  if p_code = 'credentials_refused' then
    insert into public.integration_facts as f (integration_id, direction, organization_id, refusals, refused)
    select i.id, 'in', i.organization_id, 1, private.add_refused('{}', p_call) from public.device_integrations i where i.id = p_integration_id
    on conflict (integration_id, direction) do update
      set refused = private.add_refused(f.refused, p_call), refusals = private.count_refused(private.add_refused(f.refused, p_call))
    returning (f.refused #>> array[p_call, 'times'])::integer into v_refusals;
    if v_refusals >= (select k.threshold from private.alert_kinds k where k.kind = 'authentication.failed') then
      perform private.raise_alert(
        p_integration_id, 'authentication.failed', 'error',
        format('The credentials were refused %s times in a row (%s): %s', v_refusals, p_call, p_message), '{}');
    end if;
  elsif p_code in ('invalid_config', 'vault_error') then
    perform private.raise_alert(p_integration_id, 'config.invalid', 'error', p_message, '{}');
  elsif p_code = 'certificate_expired' then
    perform private.raise_alert(p_integration_id, 'certificate.broker', 'error', p_message, '{}');
  end if;
end
$$;
comment on function public.explain_failure is
  'For whoever has recorded that a session, a command or a job failed (p_call: session, command, or the job''s kind): what its problem''s code means beside. An alert where it is the credentials, repeatedly, the config, or a certificate that ended.';

create function private.end_refused(p_organization_id uuid, p_integration_id uuid, p_call text) returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- Somebody else's batch that holds it is not waited for: the next success is as good.
  update public.integration_facts f
     set refused = private.drop_refused(f.refused, p_call), refusals = private.count_refused(private.drop_refused(f.refused, p_call))
   where f.integration_id = p_integration_id and f.direction = 'in' and private.drop_refused(f.refused, p_call) <> f.refused
     and exists (
       select from public.integration_facts h
        where h.integration_id = p_integration_id and h.direction = 'in' and h.refusals > 0 for update skip locked);
  if not found then
    return;
  end if;
  update public.alerts a set resolved_at = now()
   where a.integration_id = p_integration_id and a.organization_id = p_organization_id and a.kind = 'authentication.failed'
     and a.resolved_at is null
     and not exists (
       select from public.integration_facts f join private.alert_kinds k on k.kind = a.kind
        where f.integration_id = p_integration_id and f.refusals >= k.threshold);
end
$$;
comment on function private.end_refused is 'A call of this kind has succeeded, so it is not refused any more: an alert that was about no other is over.';

create function private.end_failure() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.alerts a set resolved_at = now()
   where a.integration_id = new.id and a.organization_id = new.organization_id and a.resolved_at is null
     and (a.kind = 'config.invalid' or a.kind = 'certificate.broker' and a.level = 'error'
       -- What a session has told of its end, a session that sees another ends.
       and not exists (
         select from public.integration_schedules s, jsonb_array_elements_text(s.state -> 'told') t(told)
          where s.integration_id = new.id and t.told like 'certificate.broker.%'));
  perform private.end_refused(new.organization_id, new.id, 'session');
  return null;
end
$$;
comment on function private.end_failure is 'What an integration failed for is over: it works, or somebody changed it.';
create trigger end_failure after update of status on public.device_integrations
  for each row when (old.status = 'error' and new.status = 'active') execute function private.end_failure();

create function private.end_alerts() returns trigger
language plpgsql security definer set search_path = ''
as $$
declare
  v_alert public.alerts;
begin
  -- Not where the organization goes: then there is nobody left to tell.
  if exists (select from public.organizations o where o.id = old.organization_id)
     and not exists (select from private.ended_organizations e where e.organization_id = old.organization_id) then
    for v_alert in
      update public.alerts a set resolved_at = coalesce(a.resolved_at, now()), flaps = greatest(a.flaps, 1)
       where a.organization_id = old.organization_id and a.integration_id = old.id and a.told = 'raised'
      returning a.*
    loop
      perform private.tell_alert(v_alert);
    end loop;
  end if;
  return old;
end
$$;
comment on function private.end_alerts is 'A deleted integration takes its alerts along; whoever was told of one is told that it is over.';
create trigger end_alerts before delete on public.device_integrations
  for each row execute function private.end_alerts();

create function private.forget_told() returns trigger
language plpgsql security definer set search_path = ''
as $$
begin
  update public.integration_schedules s set state = s.state - 'told' where s.integration_id = new.id and s.state ? 'told';
  update public.integration_facts f set certificate_begins = null, certificate_ends = null, gaps = null, refusals = 0, refused = '{}'
   where f.integration_id = new.id and (f.certificate_ends is not null or f.gaps is not null or f.refusals > 0);
  return null;
end
$$;
comment on function private.forget_told is 'A change resolves alerts, as switching off does; what a session has told once it tells again, should it be so still, and what an endpoint showed, or refused, is looked at anew.';
create trigger forget_told after update of settings, seal_count, status on public.device_integrations
  for each row when (
    old.settings is distinct from new.settings or old.seal_count <> new.seal_count or old.status = 'inactive' and new.status <> 'inactive')
  execute function private.forget_told();

revoke execute on function private.merge_alert, private.describe_alert, private.tell_alert, private.tell_change, private.tell_calm,
  public.explain_failure, private.end_refused, private.end_failure, private.end_alerts, private.forget_told from public, anon, authenticated, service_role;
