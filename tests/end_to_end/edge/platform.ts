// What Supabase puts before Edge Functions: /functions/v1/<name> goes to the file of that name without the prefix,
// everything else to the project. Arguments: folder of the functions, the project's URL.
const [folder, project] = Deno.args;
const serve = Deno.serve;
const handlers = new Map<string, (request: Request) => Promise<Response>>();

for (const entry of Deno.readDirSync(folder)) {
  if (!entry.isDirectory || entry.name.startsWith("_")) continue;
  Object.defineProperty(Deno, "serve", {
    value: (handler: (request: Request) => Promise<Response>) => handlers.set(entry.name, handler),
    configurable: true,
  });
  await import(`file://${folder}/${entry.name}/index.ts`);
}

const onListen = ({ port }: { port: number }) => console.log(port);
serve({ hostname: "127.0.0.1", port: 0, onListen }, (request) => {
  const url = new URL(request.url);
  const handler = handlers.get(url.pathname.split("/")[3]);
  if (!url.pathname.startsWith("/functions/v1/")) {
    return fetch(new URL(url.pathname + url.search, project), request);
  }
  url.pathname = url.pathname.slice("/functions/v1".length);
  return handler ? handler(new Request(url, request)) : new Response("no such function", { status: 404 });
});
