-- Who may do what with shared sessions: the service, whose scheduler and worker run them.

grant execute on function private.count_slots, private.find_slot, private.share_session, private.is_failing, private.sum_sessions to service_role;
