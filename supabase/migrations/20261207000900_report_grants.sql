-- Who may do what with what messages tell.

grant execute on function private.merge_facts, private.heed_facts, private.heed_command, private.heed_reports to service_role;
