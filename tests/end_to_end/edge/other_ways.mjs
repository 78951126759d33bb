// Put behind an example of docs/deploy.md: signs in and calls a function as the example would.
// The client of the functions is `functions` where the example made one, else that of `supabase`.
const signedIn = await supabase.auth.signInWithPassword({ email: EMAIL, password: PASSWORD });
if (signedIn.error) throw signedIn.error;
const client = typeof functions === "undefined" ? supabase.functions : functions;
const { data, error } = await client.invoke("integrations/types", { method: "GET" });
if (error) throw error;
console.log(data.types.length);
process.exit(0);
