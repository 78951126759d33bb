// Makes calls of supabase-js as frontends do; JSON in on standard input, what each call gave as JSON on standard output.
// Each call is an expression over: supabase (an admin's), service (the service key's), fresh (a new user's), db (the
// devices made here), login, ids, and `told`, which keeps the parts of an answer that clients look at.
import { readFileSync } from "node:fs";
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

globalThis.WebSocket ??= ws;
const { url, anonKey, serviceKey, organization, admin, calls } = JSON.parse(readFileSync(0, "utf8"));
const open = (key, storageKey) => createClient(url, key, { auth: { storageKey, autoRefreshToken: false } });
const [supabase, service, fresh] = [open(anonKey, "a"), open(serviceKey, "s"), open(anonKey, "f")];
const AsyncFunction = (async () => {}).constructor;

function told({ data, error, count, status }) {
  return { data, error: error ? error.code ?? error.name : null, ...(count == null ? {} : { count }), ...(status ? { status } : {}) };
}
function methodsOf(object) {
  const found = new Set();
  for (let place = Object.getPrototypeOf(object); place !== Object.prototype && place; place = Object.getPrototypeOf(place))
    for (const name of Object.getOwnPropertyNames(place))
      if (!name.startsWith("_") && typeof Object.getOwnPropertyDescriptor(place, name).value === "function") found.add(name);
  return [...found].filter((name) => !["constructor", "then"].includes(name));
}

await supabase.auth.signInWithPassword(admin);
const made = await supabase.functions.invoke("integrations", {
  body: { organization_id: organization, integration_type: "mqtt", name: `Calls ${Date.now()}`, config: { broker_url: "mqtt://127.0.0.1", topics: "a" }, status: "inactive" },
});
const ids = { integration: made.data.integration.id, organization };
const device = (external_id, name, rest) => ({ external_id, name, organization_id: organization, integration_id: ids.integration, metadata: {}, ...rest });
await supabase.from("devices").insert([
  device("a", "Pump one", { metadata: { floor: 1, tags: ["x"] }, device_type: "pump" }),
  device("b", "Pump two", { metadata: { floor: 2 }, device_type: "pump" }),
  device("c", "Tank", { metadata: { floor: 2 } }),
]);
const db = (columns, options) => supabase.from("devices").select(columns ?? "external_id", options).eq("integration_id", ids.integration);
const login = { email: `calls-${Date.now()}@new.test`, password: "correct horse battery" };
const scope = { supabase, service, fresh, db, login, ids, told, device };

const answers = [];
for (const code of calls) {
  const run = new AsyncFunction(...Object.keys(scope), code.includes("return ") ? code : `return told(await ${code})`);
  answers.push((await run(...Object.values(scope)).catch((thrown) => ({ thrown: String(thrown) }))) ?? null);
}
const methods = {
  query: methodsOf(supabase.from("devices")),
  filter: methodsOf(db()),
  auth: methodsOf(supabase.auth),
  admin: methodsOf(supabase.auth.admin),
  functions: methodsOf(supabase.functions),
};
console.log(JSON.stringify({ answers, methods }));
process.exit(0);
