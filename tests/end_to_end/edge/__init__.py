"""The Edge Functions in front of the functions, run by Deno as on Supabase."""
