-- Who may do what with codecs, and with the tokens of devices.

grant select on public.codecs to authenticated;
grant execute on function public.write_codec to authenticated;

grant select, insert, update, delete on public.codecs to service_role;
grant execute on function public.codec_sources to service_role;

grant execute on function public.stored_messages, public.redecode_messages, private.redecode_message to service_role;

grant select on public.device_tokens to authenticated;
grant execute on function public.issue_device_token, public.rotate_device_token, public.revoke_device_token to authenticated;
grant select, insert, update, delete on public.device_tokens to service_role;
grant select on private.device_token_hashes to service_role;
grant execute on function public.find_device_tokens to service_role;
