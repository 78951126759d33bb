-- Who may do what with what messages tell.

grant execute on function private.is_portable, private.list_gateways, private.merge_facts, private.heed_facts, private.read_gone, private.heed_presence, private.find_reported, private.move_command, private.heed_command, private.heed_reports to service_role;
