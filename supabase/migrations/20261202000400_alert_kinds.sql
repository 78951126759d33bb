-- Which alerts there are, and from when on. This table is the only place that says so: `update private.alert_kinds set threshold = …`.

create table private.alert_kinds (
  kind text primary key check (kind ~ '^[a-z_.]{1,40}$'),
  level text not null check (level in ('warning', 'error')),
  is_judged boolean not null,
  threshold numeric,
  lasts interval,
  says text not null
);
comment on table private.alert_kinds is 'Every kind of alert. The operator changes threshold and lasts; docs/operations.md has a section for each.';
comment on column private.alert_kinds.level is 'How bad it is, where nothing worse is said with it.';
comment on column private.alert_kinds.is_judged is 'Whether judge_integrations raises and resolves it, each minute; else what met it does.';
comment on column private.alert_kinds.threshold is 'From when on, as says names it; null where there is nothing to choose.';
comment on column private.alert_kinds.lasts is 'Resolved by itself when not met again for so long; null where what ends it is seen.';
alter table private.alert_kinds enable row level security;

insert into private.alert_kinds (kind, level, is_judged, threshold, lasts, says) values
  ('integration.failing', 'error', false, null, null, 'Its other side is not reached, refuses, or its config can''t be used.'),
  ('integration.silent', 'warning', true, null, null, 'Nothing has come for silent_after_seconds, where something came before.'),
  ('authentication.failed', 'error', true, 3, null, 'So many sessions, attempts, jobs or commands in a row were refused for their credentials.'),
  ('sync.failing', 'warning', false, 10, null, 'So many tries of a device sync in a row failed, or one ended without success.'),
  ('config.invalid', 'error', false, null, null, 'The stored config or its secrets can''t be used.'),
  ('subscription.refused', 'warning', true, null, null, 'It works, but the other side refused some of what it asks for.'),
  ('quota.reached', 'warning', true, 0.8, null, 'This share of what the organization may have is used; from 1 on an error.'),
  ('rate_limit.reached', 'warning', true, 0.8, '10 minutes', 'This share of what may come in or go out a minute is used; from 1 on an error.'),
  ('certificate.client', 'warning', false, null, null, 'The client certificate ends within 30, 7 or 1 days.'),
  ('certificate.ca', 'warning', false, null, null, 'The CA certificate ends within 30, 7 or 1 days.'),
  ('certificate.broker', 'warning', false, null, null, 'The certificate of the broker ends within 30, 7 or 1 days, or has ended.'),
  ('certificate.endpoint', 'warning', true, null, null, 'The certificate of an endpoint ends within 30, 7 or 1 days, or is refused.'),
  ('delivery.dead', 'warning', true, 1, null, 'So many deliveries ended as dead letters within the last hour.'),
  ('delivery.late', 'warning', true, 300, null, 'What waits has been due for so many seconds.'),
  ('template.unmatched', 'warning', true, 3, null, 'So many events in a row had nothing where a payload_template names something; a hundred more of what was met before.'),
  ('webhook.failing', 'warning', false, null, null, 'Ten attempts in a row failed; it is tried one delivery at a time.'),
  ('webhook.unusable', 'warning', false, null, null, 'Its config can''t be used, so nothing is sent.'),
  ('webhook.disabled', 'error', false, null, null, 'Nothing but failures for five days, so it was switched off.'),
  ('webhook.gone', 'error', false, null, null, 'It answered 410 Gone, so it was switched off.'),
  ('notice.unreachable', 'warning', false, null, null, 'A number or address that somebody is to be told at is wrong or takes no messages.'),
  ('notice.opted_out', 'warning', false, null, null, 'Somebody who is to be told has asked not to be.'),
  ('notice.account', 'error', false, null, null, 'The account that tells people is refused: its credentials, its balance, its limits.'),
  ('notice.undelivered', 'warning', false, null, '1 day', 'A message was taken, and did not arrive.'),
  ('receive.refused', 'warning', false, null, null, 'Many pushed requests did not prove who sent them.'),
  ('messages.undecodable', 'warning', true, 0.05, null, 'More than this share of the messages of the last hour could not be decoded.'),
  ('devices.silent', 'warning', true, 1, null, 'So many devices fell silent within the last week and have not come back.'),
  ('broker.overflowed', 'warning', false, null, '1 hour', 'What a broker kept for us may have been lost: its queue overflowed, or a topic''s retention has passed.'),
  ('clock.skewed', 'warning', false, 30, '1 hour', 'Devices send times that can''t be; of a worker, its clock is so many seconds off.'),
  ('keys.due', 'warning', true, 365, null, 'The key that seals credentials has done so for so many days.'),
  ('partitions.behind', 'error', true, null, null, 'There is no partition for the messages of tomorrow.'),
  ('retention.behind', 'warning', true, 2, null, 'What should be forgotten is still there after so many days.'),
  ('rollout.devices_failed', 'warning', false, null, null, 'Devices of a firmware rollout report that it failed.');

create table private.operators (
  organization_id uuid primary key references public.organizations (id) on delete cascade
);
comment on table private.operators is
  'The organizations of whoever operates the platform: alerts about the platform itself are theirs. While there is none, such alerts are nobody''s, and in the log.';
alter table private.operators enable row level security;

create function public.acknowledge_alert(id bigint) returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_alert public.alerts;
begin
  select a.* into v_alert from public.alerts a
   where a.id = acknowledge_alert.id and a.organization_id = any (array(select private.org_ids('viewer')));
  if not found then
    raise exception 'There is no such alert here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if not v_alert.organization_id = any (array(select private.org_ids('member'))) then
    raise exception 'Only members, admins and owners of the organization may do this.' using errcode = '42501';
  end if;
  perform private.charge('change', v_alert.organization_id);
  update public.alerts a set acknowledged_at = now(), acknowledged_by = auth.uid()
   where a.id = v_alert.id and a.acknowledged_at is null
  returning a.* into v_alert;
  if found then
    perform private.record_entry(
      v_alert.organization_id, 'alerts', coalesce(v_alert.integration_id, v_alert.organization_id), 'update',
      jsonb_build_object('acknowledged', jsonb_build_object('old', null, 'new', v_alert.kind)));
  end if;
  return (
    select to_jsonb(s) from (
      select a.id, a.organization_id, a.integration_id, a.kind, a.level, a.message, a.details, a.created_at, a.updated_at, a.resolved_at,
             a.acknowledged_at, a.acknowledged_by
        from public.alerts a where a.id = acknowledge_alert.id) s);
end
$$;
comment on function public.acknowledge_alert is
  'Somebody has seen it and looks after it: members and above. The alert as it is now; a second time changes nothing. PT404 where the caller sees no such alert.';

revoke all on private.alert_kinds, private.operators from public, anon, authenticated, service_role;
revoke execute on function public.acknowledge_alert from public, anon, authenticated, service_role;
