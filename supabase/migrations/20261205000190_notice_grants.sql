-- Who may do what with messages to people: the service alone.

grant select, insert, delete on private.opt_outs to service_role;
grant execute on function public.take_callback to service_role;
grant execute on function
  private.make_code, private.make_event_id, private.tells_people, private.list_recipients, private.key_person, private.find_recipient, private.hash_address, private.end_quiet,
  private.find_turn, private.end_waiting, private.tally_ends, private.list_waiting, private.find_hold, private.find_urgent, private.choose_notice, private.gather_notices, private.choose_start,
  private.find_earlier, private.list_gathered, private.list_namesakes, private.describe_notice, private.list_missed, private.miss_person, private.reach_person,
  private.note_people, private.rank_report, private.is_about, private.end_reported, private.call_again, private.take_report, private.acknowledge_told
  to service_role;
