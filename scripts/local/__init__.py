"""The local stack: a Supabase-compatible Postgres, REST, auth and functions gateway. Never deployed."""
