import { proxyTo } from "../_shared/proxy.ts";

Deno.serve(proxyTo("metrics"));
