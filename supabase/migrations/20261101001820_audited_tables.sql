-- Which changes of which tables the audit log has.

create trigger audit_rows after insert or delete on public.device_integrations
  for each row execute function private.record_change('name', 'integration_type', 'status', 'settings');

-- What the scheduler reports is not a change anybody made: active and error swapped.
create trigger audit_changes
  after update of organization_id, name, integration_type, status, settings, seal_count, secret_names
  on public.device_integrations for each row
  when (
    (old.organization_id, old.name, old.integration_type, old.settings, old.seal_count, old.secret_names, old.status = 'inactive')
    is distinct from
    (new.organization_id, new.name, new.integration_type, new.settings, new.seal_count, new.secret_names, new.status = 'inactive')
    or (old.status is distinct from new.status and auth.uid() is not null)
  )
  execute function private.record_change('organization_id', 'name', 'integration_type', 'status', 'settings');

-- Devices come and speak by themselves all the time: only what a person does to them is recorded.
create trigger audit_rows after insert or delete on public.devices
  for each row when (auth.uid() is not null)
  execute function private.record_change('name', 'external_id', 'integration_id', 'device_type', 'metadata');
create trigger audit_changes after update of name, external_id, device_type, metadata on public.devices
  for each row when (auth.uid() is not null)
  execute function private.record_change('name', 'external_id', 'device_type', 'metadata');
create trigger audit_rest after insert or delete or update of name, external_id, device_type, metadata on public.devices
  for each statement when (private.is_user()) execute function private.record_rest();
create trigger audit_rows after insert on public.firmware_rollouts
  for each row when (auth.uid() is not null)
  execute function private.record_change('integration_id', 'name', 'target', 'artifacts', 'status');
create trigger audit_changes after update of status on public.firmware_rollouts
  for each row when (auth.uid() is not null)
  execute function private.record_change('status');
