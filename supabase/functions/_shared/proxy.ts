/**
 * A function of this project behind its Edge Function: what `supabase.functions.invoke(name)` sends goes to where the
 * functions run, and what they answer comes back as it is, streams, errors and cross-origin headers included.
 *
 * Its only setting is the secret DEVICE_INTEGRATIONS_URL, the functions' address, in which `{function}` stands for the name:
 * `https://device-integrations-{function}-123456789.europe-west1.run.app`, or one address for all, to which the name is
 * added: `https://functions.example.com/functions/v1`.
 *
 * It uses what the Fetch standard has and `Deno.env`, and nothing else. Who is calling is checked by the function itself,
 * so `verify_jwt` is off for it in config.toml: senders of webhooks have no session.
 */

/** Shorter than the 150 s after which the platform gives up on a function that has not begun to answer. */
const ANSWER_SECONDS = 145;

/** Of one connection (RFC 9110, 7.6.1), or made anew by fetch. */
const OWN_TO_A_CONNECTION = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Left by the network in front of us; a target behind the same network would take the request for a loop. */
const LEFT_BY_THE_EDGE = /^(cdn-loop$|cf-)/;

/** The handler for `Deno.serve`: passes each request to the function `name`. Never throws. */
export function proxyTo(name: string): (request: Request) => Promise<Response> {
  return async (request) => {
    const target = findTarget(name, new URL(request.url));
    if (target === null) {
      const remedy = "Set it with: supabase secrets set DEVICE_INTEGRATIONS_URL=https://...";
      return refuse(request, 500, "internal", `The secret DEVICE_INTEGRATIONS_URL is not set, or is no URL. ${remedy}`);
    }
    try {
      return await passOn(request, target);
    } catch (error) {
      console.error(`${name} can't be reached at ${target.origin}: ${error}`);
      return refuse(request, 503, "unavailable", "The function can't be reached just now; try again in a few seconds.");
    }
  };
}

function findTarget(name: string, asked: URL): URL | null {
  const address = (Deno.env.get("DEVICE_INTEGRATIONS_URL") ?? "").trim().replace(/\/+$/, "");
  const base = address.includes("{function}") ? address.replaceAll("{function}", name) : `${address}/${name}`;
  // The platform passes the path without /functions/v1, other gateways pass it whole.
  const rest = asked.pathname.replace(/^\/functions\/v1(?=\/)/, "").slice(name.length + 1);
  const url = `${base}${rest}${asked.search}`;
  return /^https?:\/\//.test(address) && URL.canParse(url) ? new URL(url) : null;
}

async function passOn(request: Request, target: URL): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error("no answer in time")), ANSWER_SECONDS * 1000);
  try {
    const answer = await fetch(target, {
      method: request.method,
      headers: listRequestHeaders(request.headers),
      body: request.body,
      redirect: "manual",
      signal: AbortSignal.any([request.signal, late.signal]),
      duplex: "half", // a body that is still coming; TypeScript's own type does not know it
    } as RequestInit);
    return new Response(answer.body, { status: answer.status, headers: listAnswerHeaders(answer.headers) });
  } finally {
    clearTimeout(timer);
  }
}

function listRequestHeaders(given: Headers): Headers {
  const kept = [...given].filter(([name]) => !OWN_TO_A_CONNECTION.has(name) && !LEFT_BY_THE_EDGE.test(name));
  const headers = new Headers(kept);
  // fetch would ask for compressed answers, and unpack them here for nothing.
  headers.set("accept-encoding", "identity");
  return headers;
}

function listAnswerHeaders(given: Headers): Headers {
  const unpacked = given.has("content-encoding");
  const headers = new Headers();
  for (const [name, value] of given) {
    const untrue = unpacked && (name === "content-encoding" || name === "content-length");
    if (!untrue && (name === "content-length" || !OWN_TO_A_CONNECTION.has(name))) headers.append(name, value);
  }
  return headers;
}

/** A problem document as the functions write them, readable for a browser's script of any origin: it holds nothing secret. */
function refuse(request: Request, status: number, code: string, detail: string): Response {
  const headers = new Headers({ "Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After" });
  if (request.method === "OPTIONS") {
    // A refused preflight would hide from the script why its call fails.
    headers.set("Access-Control-Allow-Headers", request.headers.get("Access-Control-Request-Headers") ?? "*");
    headers.set("Access-Control-Allow-Methods", "GET, POST, PATCH, PUT, DELETE, OPTIONS");
    return new Response(null, { status: 204, headers });
  }
  headers.set("Content-Type", "application/problem+json");
  if (status === 503) headers.set("Retry-After", "5");
  const title = status === 503 ? "Service Unavailable" : "Internal Server Error";
  return new Response(JSON.stringify({ type: "about:blank", title, status, detail, code }), { status, headers });
}
