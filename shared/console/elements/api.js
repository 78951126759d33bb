/** Calls through the host's supabase-js client, or anything with its `functions.invoke` and `from`. */

/** A refusal: the problem document of RFC 9457, or what stands in for it where no answer came (status 0). */
export class Problem extends Error {
  constructor(document) {
    super(document.detail)
    this.document = { errors: [], ...document }
  }
}

/** Whatever was thrown, as a Problem. */
export const asProblem = (error) =>
  error instanceof Problem ? error : new Problem({ status: 0, code: 'unreachable', detail: error.message })

/** One call of a function: `{body, etag}`; Problem otherwise. */
export async function call(client, method, path, body, headers = {}) {
  const { data, error, response } = await client.functions.invoke(path, { method, body, headers })
  if (!error) return { body: data, etag: response?.headers.get('ETag') }
  throw await readProblem(error)
}

/** Each event of a call that answers with server-sent events, as it comes; of a server without them, those in its one answer. */
export async function* stream(client, path, body) {
  const { body: answer } = await call(client, 'POST', path, body, { Accept: 'text/event-stream' })
  if (!(answer instanceof Response)) return yield* answer.checks
  let [rest, isWhole] = ['', false]
  for await (const part of decode(answer.body)) {
    const blocks = (rest + part).split(/\r?\n\r?\n/)
    rest = blocks.pop()
    for (const event of blocks.map(readEvent).filter(Boolean)) {
      if (event.name) yield event
      else isWhole = true // The last one is the whole answer.
    }
  }
  if (!isWhole) throw new Error('The answer was cut off.')
}

function readEvent(block) {
  const fields = block.split(/\r?\n/).map((line) => line.match(/^(\w+): ?(.*)$/)).filter(Boolean)
  const data = fields.filter(([, name]) => name === 'data').map(([, , value]) => value).join('\n')
  if (!data) return null
  const event = JSON.parse(data)
  if (fields.some(([, name, value]) => name === 'event' && value === 'problem')) throw new Problem(event)
  return event
}

async function* decode(bytes) {
  const reader = bytes.pipeThrough(new TextDecoderStream()).getReader()
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) yield value
}

/** The rows of a query made with `client.from(…)` or `client.rpc(…)`, and their `total` where it was counted; Problem otherwise. */
export async function rows(query) {
  const { data, error, count, status } = await query
  if (error) throw new Problem({ status: error.code ? status || 400 : 0, code: error.code || 'unreachable', detail: error.message })
  return Array.isArray(data) ? Object.assign(data, { total: count }) : data
}

/** All pages of a list, `most` at the most. */
export async function pages(client, path, name, most = 5) {
  const found = []
  let [cursor, first] = [null, null]
  for (let page = 0; page < most; page++) {
    const { body } = await call(client, 'GET', cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path)
    first ??= body
    found.push(...body[name])
    cursor = body.next_cursor
    if (!cursor) break
  }
  return { ...first, [name]: found, next_cursor: cursor }
}

async function readProblem(error) {
  const response = error.context
  if (!(response instanceof Response)) return new Problem({ status: 0, code: 'unreachable', detail: error.message })
  const document = await response.json().catch(() => ({}))
  const waits = Number(response.headers.get('Retry-After')) || null
  return new Problem({ code: 'unknown', detail: response.statusText || `HTTP ${response.status}`, waits, ...document, status: response.status })
}

/** An Idempotency-Key; also where the page is not a secure context, which has no `randomUUID`. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')

const known = new WeakMap()
/** What is asked once for each client and remembered: the roles, the catalogue. */
function remember(client, key, ask) {
  if (!known.has(client)) known.set(client, new Map())
  const answers = known.get(client)
  if (!answers.has(key)) answers.set(key, ask().catch((error) => { answers.delete(key); throw error }))
  return answers.get(key)
}

/** The names of rows by their id, for what refers to them: a `Map`. Those that are gone have none. */
export async function readNames(client, table, ids) {
  const wanted = [...new Set(ids)].filter(Boolean)
  if (!wanted.length) return new Map()
  return new Map((await rows(client.from(table).select('id,name').in('id', wanted))).map(({ id, name }) => [id, name]))
}

/** What fields of a config may name, by `x-lists`: `{codecs: {id: name}}`; without a list the id is typed. */
export async function readLists(client, organization) {
  const codecs = await rows(client.from('codecs').select('id,name').eq('organization_id', organization).order('name').limit(1000)).catch(() => null)
  return codecs ? { codecs: Object.fromEntries(codecs.map(({ id, name }) => [id, name])) } : {}
}

/** The catalogue: what can be connected. */
export const readTypes = (client) => remember(client, 'types', async () => (await call(client, 'GET', 'integrations/types')).body.types)

const RANKS = ['viewer', 'member', 'admin', 'owner']
/** Whether the one who is signed in has this role in the organization, or a higher one. */
export async function hasRole(client, organization, role) {
  const { data: { session } } = await client.auth.getSession()
  const user = session?.user?.id
  if (!user) return false
  const found = await remember(client, `role:${organization}:${user}`, () =>
    rows(client.from('organization_members').select('role').eq('organization_id', organization).eq('user_id', user)))
  return RANKS.indexOf(found[0]?.role) >= RANKS.indexOf(role)
}
