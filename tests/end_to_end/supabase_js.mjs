// What a frontend does with supabase-js, as one JSON object on standard output.
// Arguments: URL, anon key, email, password, organization id.
import { createClient } from "@supabase/supabase-js";
import ws from "ws";

const [url, anonKey, email, password, organizationId] = process.argv.slice(2);
const supabase = createClient(url, anonKey, { realtime: { transport: ws } });
const seen = {};

seen.wrongPassword = (await supabase.auth.signInWithPassword({ email, password: "wrong" })).error?.code;
seen.signedIn = (await supabase.auth.signInWithPassword({ email, password })).data.user?.email;
seen.user = (await supabase.auth.getUser()).data.user?.email;

const created = await supabase.functions.invoke("integrations", {
  body: {
    organization_id: organizationId,
    integration_type: "webhook",
    name: "Made by supabase-js",
    config: { url: "http://127.0.0.1:9/hook" },
  },
});
seen.created = created.data?.integration;
const id = seen.created?.id;

const refused = await supabase.functions.invoke("integrations", {
  body: { organization_id: organizationId, integration_type: "no-such-type", name: "Refused", config: {} },
});
seen.refused = { name: refused.error?.name, status: refused.error?.context?.status };
seen.problem = await refused.error?.context?.json();

seen.listed = (await supabase.functions.invoke(`integrations?organization_id=${organizationId}`, { method: "GET" })).data;
seen.selected = await supabase.from("device_integrations").select("id,name,status").eq("id", id).single();
seen.whole = (await supabase.from("device_integrations").select("*").eq("id", id).single()).data;

const read = await supabase.functions.invoke(`integrations/${id}`, { method: "GET" });
seen.tag = read.response.headers.get("ETag");
const change = { method: "PATCH", headers: { "If-Match": seen.tag }, body: { name: "Changed by supabase-js" } };
seen.changed = (await supabase.functions.invoke(`integrations/${id}`, change)).data?.integration;
const late = await supabase.functions.invoke(`integrations/${id}`, change);
seen.late = await late.error?.context?.json();
seen.tested = (await supabase.functions.invoke(`integrations/${id}/test`, { method: "POST" })).data;
const unsaved = { organization_id: organizationId, integration_type: "webhook", config: { url: "http://127.0.0.1:9/hook" } };
seen.testedUnsaved = (await supabase.functions.invoke("integrations/test", { body: unsaved })).data;

seen.removed = (await supabase.functions.invoke(`integrations/${id}`, { method: "DELETE" })).error;
seen.deleted = (await supabase.from("device_integrations").select("id").eq("id", id)).data;

seen.refreshed = (await supabase.auth.refreshSession()).error;
await supabase.auth.signOut();
seen.signedOut = (await supabase.auth.getSession()).data.session;
seen.stranger = await supabase.from("device_integrations").select("id");

console.log(JSON.stringify(seen));
