-- Changes of organizations and members in the audit log. Goes with the files of those tables: docs/keep-yours.md.

create trigger audit_rows after insert or delete on public.organizations
  for each row execute function private.record_change('name');
create trigger audit_changes after update of name on public.organizations
  for each row execute function private.record_change('name');
create trigger audit_rows after insert or delete on public.organization_members
  for each row execute function private.record_change('user_id', 'role');
create trigger audit_changes after update of role on public.organization_members
  for each row execute function private.record_change('role');
-- Not the address: who was asked is nobody's business for a year.
create trigger audit_rows after insert or delete on public.organization_invitations
  for each row execute function private.record_change('role');
create trigger audit_changes after update on public.organization_invitations
  for each row execute function private.record_change('role', 'invited_by', 'expires_at');
