-- Who may do what with organizations, members, invitations and devices. A platform that keeps its own tables leaves out what is said
-- of those here: docs/keep-yours.md.

grant select on public.organizations to authenticated;
grant update (name) on public.organizations to authenticated;
grant select, delete on public.organization_members to authenticated;
grant update (role) on public.organization_members to authenticated;
grant select, delete on public.organization_invitations to authenticated;
grant select, delete on public.devices to authenticated;
grant insert (organization_id, integration_id, external_id, name, device_type, metadata) on public.devices to authenticated;
grant update (name, device_type, metadata) on public.devices to authenticated;
grant select, insert, update, delete on
  public.organizations, public.organization_members, public.organization_invitations, public.devices
  to service_role;

grant execute on function
  public.accept_invitation, public.create_organization, public.delete_organization, public.invite_member, public.leave_organization,
  public.list_invitations
  to authenticated;
grant execute on function private.own_email to authenticated;
