/** Calls through the host's supabase-js client, or anything with its `functions.invoke` and `from`. */

/** A refusal: the problem document of RFC 9457, or what stands in for it where no answer came (status 0). */
export class Problem extends Error {
  constructor(document) {
    super(document.detail)
    this.document = { errors: [], ...document }
  }
}

export const asProblem = (error) =>
  error instanceof Problem ? error : new Problem({ status: 0, code: 'unreachable', detail: error.message })

/** One call of a function: `{body, etag}`; Problem otherwise. */
export async function call(client, method, path, body, headers = {}) {
  const { data, error, response } = await client.functions.invoke(path, { method, body, headers })
  if (!error) return { body: data, etag: response?.headers.get('ETag') }
  throw await readProblem(error)
}

/** The rows of a query made with `client.from(…)` or `client.rpc(…)`, and their `total` where it was counted; Problem otherwise. */
export async function rows(query) {
  const { data, error, count, status } = await query
  if (error) throw new Problem({ status: error.code ? status || 400 : 0, code: error.code || 'unreachable', detail: error.message })
  return Array.isArray(data) ? Object.assign(data, { total: count }) : data
}

/** All pages of a list, `most` at the most, as one; its `next_cursor` where there are more. */
export async function pages(client, path, name, most = 5) {
  const found = []
  let body = null
  do {
    ({ body } = await call(client, 'GET', body ? `${path}&cursor=${encodeURIComponent(body.next_cursor)}` : path))
    found.push(...body[name])
  } while (body.next_cursor && --most)
  return { ...body, [name]: found }
}

async function readProblem(error) {
  const response = error.context
  if (!(response instanceof Response)) return new Problem({ status: 0, code: 'unreachable', detail: error.message })
  const document = await response.json().catch(() => ({}))
  const waits = Number(response.headers.get('Retry-After')) || null
  return new Problem({ code: 'unknown', detail: response.statusText || `HTTP ${response.status}`, waits, ...document, status: response.status })
}

const known = new WeakMap()
function remember(client, key, ask) {
  if (!known.has(client)) known.set(client, new Map())
  const answers = known.get(client)
  if (!answers.has(key)) answers.set(key, ask().catch((error) => { answers.delete(key); throw error }))
  return answers.get(key)
}

export const readTypes = (client) => remember(client, 'types', async () => (await call(client, 'GET', 'integrations/types')).body.types)

const RANKS = ['viewer', 'member', 'admin', 'owner']
export async function hasRole(client, organization, role) {
  const { data: { session } } = await client.auth.getSession()
  const user = session?.user?.id
  if (!user) return false
  const found = await remember(client, `role:${organization}:${user}`, () =>
    rows(client.from('organization_members').select('role').eq('organization_id', organization).eq('user_id', user)))
  return RANKS.indexOf(found[0]?.role) >= RANKS.indexOf(role)
}
