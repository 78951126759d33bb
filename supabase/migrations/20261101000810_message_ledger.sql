-- Which messages were stored: a message that comes again is known by its id.

create table private.message_ledger (
  integration_id uuid not null,
  organization_id uuid not null,
  event_id text not null collate "C",
  seen_at timestamptz not null default now(),
  primary key (integration_id, organization_id, event_id)
);
comment on table private.message_ledger is
  'Which event ids were stored: a message is a duplicate for as long as its id stands here, 7 days (see prune_messages).';

create index message_ledger_seen on private.message_ledger using brin (seen_at) with (autosummarize = on);

alter table private.message_ledger enable row level security;

revoke all on private.message_ledger from public, anon, authenticated, service_role;
