-- What frontends page through, found without reading what else an organization has: devices by their id and by their last
-- change, messages of one integration, what failed, and what went wrong.

create index devices_list on public.devices (organization_id, external_id, id);
create index devices_changed on public.devices (organization_id, updated_at, id);
comment on index public.devices_changed is
  'What has changed since: of name, type and metadata. What a message changes is in no index, so that it stays on its page.';

create index device_messages_integration on public.device_messages (integration_id, received_at);
create index device_messages_failed_list on public.device_messages (organization_id, received_at) where error is not null;

create index integration_activity_troubles on public.integration_activity (organization_id, created_at desc, id desc)
  where level <> 'info';
