-- Who may do what with what is told early: the service alone.

grant execute on function private.keep_early, private.heed_early to service_role;
