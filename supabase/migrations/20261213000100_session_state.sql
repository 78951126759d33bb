-- The state of a session is saved with each batch, and mostly base64, which does not get smaller: it is not tried each time.

alter table public.integration_schedules alter column state set storage external;
