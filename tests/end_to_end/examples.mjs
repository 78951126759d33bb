// Runs the supabase-js examples of docs/api.md; JSON in on standard input, what each got as JSON on standard output.
import { readFileSync } from "node:fs";
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

// Node 22 has one of its own, and the examples ask for no other.
globalThis.WebSocket ??= ws;
const { url, anonKey, config, variables, examples } = JSON.parse(readFileSync(0, "utf8"));
const supabase = createClient(url, anonKey);
const AsyncFunction = (async () => {}).constructor;
const RESULT = `
  return {
    body: typeof problem !== "undefined" ? problem : typeof data !== "undefined" ? data : null,
    error: typeof error !== "undefined" && error ? String(error.message) : null,
    refused: typeof problem !== "undefined",
  };`;

async function invoke(path, options) {
  const { data, error, response } = await supabase.functions.invoke(path, options);
  if (error) throw new Error(`${path}: ${await error.context.text()}`);
  return { data, response };
}

// An integration for each example, so that one may change or delete its own.
async function makeVariables(number) {
  const body = { organization_id: variables.organizationId, integration_type: "mqtt", name: `Example ${number}`, config };
  const { data, response } = await invoke("integrations", { body });
  const read = await invoke(`integrations/${data.integration.id}`, { method: "GET" });
  return { ...variables, integrationId: data.integration.id, etag: read.response.headers.get("ETag") };
}

await supabase.auth.signInWithPassword(variables);
const results = [];
for (const [number, code] of examples.entries()) {
  const own = { supabase, ...(await makeVariables(number)) };
  const run = new AsyncFunction(...Object.keys(own), `{${code}${RESULT}}`);
  results.push(await run(...Object.values(own)).catch((thrown) => ({ body: null, error: String(thrown), refused: false })));
}
console.log(JSON.stringify(results));
