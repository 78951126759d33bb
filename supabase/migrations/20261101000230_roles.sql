-- What functions ask before they act for somebody.

create function public.require_role(p_organization_id uuid, p_role text) returns void
language plpgsql stable set search_path = ''
as $$
begin
  if not exists (select from private.org_ids('viewer') o where o = p_organization_id) then
    raise exception 'There is no such organization here, or it is not visible to you.' using errcode = 'PT404';
  end if;
  if not exists (select from private.org_ids(p_role) o where o = p_organization_id) then
    raise exception 'This needs the role % or above.', p_role using errcode = '42501';
  end if;
end
$$;
comment on function public.require_role is
  'For calls that reach outside without writing: PT404 unless the caller belongs to the organization, 42501 below the role.';

revoke execute on function public.require_role from public, anon, authenticated, service_role;
