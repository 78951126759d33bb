-- What was sent, beside what was answered: of failed attempts, and of a webhook's last hundred successes. Secrets are masked before.

create table public.webhook_requests (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  integration_id uuid not null,
  delivery_id uuid not null references public.webhook_deliveries (id) on delete cascade,
  started_at timestamptz not null,
  is_delivered boolean not null,
  method text not null check (length(method) <= 20),
  url text not null check (length(url) <= 4096),
  headers jsonb not null,
  body text check (octet_length(body) <= 65536),
  body_bytes integer not null
);
comment on table public.webhook_requests is
  'The requests of attempts, with their secrets masked: of a webhook the last 100 that were delivered and the last 1,000 that failed. They go with their delivery.';
comment on column public.webhook_requests.started_at is 'That of the attempt.';
comment on column public.webhook_requests.body is 'Its first 16 KB.';
create index webhook_requests_delivery on public.webhook_requests (delivery_id, started_at);
create index webhook_requests_integration on public.webhook_requests (integration_id, is_delivered, id);
create index webhook_requests_organization on public.webhook_requests (organization_id);

alter table public.webhook_requests enable row level security;
create policy "Members see what was sent" on public.webhook_requests
  for select to authenticated
  using (organization_id = any (array(select private.org_ids('viewer'))));

create function public.record_requests(p_requests jsonb) returns void
language plpgsql volatile set search_path = ''
as $$
begin
  if jsonb_array_length(p_requests) > 4000 then
    raise exception 'At most 4000 requests a call; send them in parts.' using errcode = '22023';
  end if;
  insert into public.webhook_requests (
    organization_id, integration_id, delivery_id, started_at, is_delivered, method, url, headers, body, body_bytes)
  select d.organization_id, d.integration_id, d.id, r.started_at, r.is_delivered, r.method, r.url, r.headers, r.body, r.body_bytes
    from jsonb_to_recordset(p_requests) as r(
      delivery_id uuid, started_at timestamptz, is_delivered boolean, method text, url text, headers jsonb, body text, body_bytes integer)
    join public.webhook_deliveries d on d.id = r.delivery_id
   order by r.started_at;
  delete from public.webhook_requests
   where id = any (array(
     select o.id
       from (
         select distinct d.integration_id, r.is_delivered
           from jsonb_to_recordset(p_requests) as r(delivery_id uuid, is_delivered boolean)
           join public.webhook_deliveries d on d.id = r.delivery_id) w
       cross join lateral (
         select q.id from public.webhook_requests q
          where q.integration_id = w.integration_id and q.is_delivered = w.is_delivered
          order by q.id desc offset case when w.is_delivered then 100 else 1000 end) o
      order by 1 limit 10000));
end
$$;
comment on function public.record_requests is
  'Keeps requests [{delivery_id, started_at, is_delivered, method, url, headers, body, body_bytes}] and forgets the oldest of their webhooks.';

revoke all on public.webhook_requests from public, anon, authenticated, service_role;
revoke all on sequence public.webhook_requests_id_seq from public, anon, authenticated, service_role;
revoke execute on function public.record_requests from public, anon, authenticated, service_role;
