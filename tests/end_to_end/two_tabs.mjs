// One tab of a frontend: supabase-js with the session that all tabs share, which has expired.
// Arguments: URL, anon key, the file that stands for the browser's local storage, when to begin (milliseconds).
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const [url, anonKey, file, begin] = process.argv.slice(2);
const read = () => JSON.parse(readFileSync(file, "utf8"));
const write = (key, value) => {
  writeFileSync(`${file}.${process.pid}`, JSON.stringify({ ...read(), [key]: value }));
  renameSync(`${file}.${process.pid}`, file);
};
const storage = {
  getItem: (key) => read()[key] ?? null,
  setItem: write,
  removeItem: (key) => write(key, undefined),
};
const events = [];

await new Promise((resolve) => setTimeout(resolve, Number(begin) - Date.now()));
const supabase = createClient(url, anonKey, { auth: { storage, storageKey: "session" }, realtime: { transport: ws } });
supabase.auth.onAuthStateChange((event) => void events.push(event));
const first = await supabase.auth.getUser();
await new Promise((resolve) => setTimeout(resolve, 500));
const again = await supabase.auth.refreshSession();
const rows = await supabase.from("organizations").select("name");
console.log(JSON.stringify({ user: first.data.user?.email, again: again.error?.code ?? null, rows: rows.data, events }));
process.exit(0);
