// What a frontend that subscribes is told, and how often it tries: supabase-js's Realtime for six seconds.
// Arguments: URL, anon key, protocol version.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const [url, anonKey, vsn] = process.argv.slice(2);
let connections = 0;
class Counted extends ws {
  constructor(...given) {
    super(...given);
    connections += 1;
  }
}
const supabase = createClient(url, anonKey, { realtime: { transport: Counted, vsn, heartbeatIntervalMs: 1000 } });
const statuses = [];
supabase
  .channel("alerts")
  .on("postgres_changes", { event: "*", schema: "public", table: "alerts" }, () => undefined)
  .subscribe((status, error) => void statuses.push([status, error?.message ?? null]));
await new Promise((resolve) => setTimeout(resolve, 6000));
console.log(JSON.stringify({ statuses, connections }));
process.exit(0);
