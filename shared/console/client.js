/** As much of supabase-js as our elements need, for the page that stands alone. In an app, its own client is used instead. */

const KEY = 'di-session'
/** Longer than any function may take: what has not answered by then does not. */
const PATIENCE = 60_000

export function createClient(url, anonKey, functionsUrl = `${url}/functions/v1`) {
  const auth = new Auth(url, anonKey)
  const send = async (address, { method = 'GET', body, headers = {} } = {}) => {
    const token = (await auth.fresh())?.access_token ?? anonKey
    const sent = body !== undefined && { body: JSON.stringify(body) }
    return fetch(address, { method, signal: AbortSignal.timeout(PATIENCE), headers: { apikey: anonKey, Authorization: `Bearer ${token}`, ...(sent && { 'Content-Type': 'application/json' }), ...headers }, ...sent })
  }
  const rest = `${url}/rest/v1`
  return {
    auth,
    functions: { url: functionsUrl, invoke: (path, { method = 'POST', body, headers } = {}) => invoke(send, `${functionsUrl}/${path}`, { method, body, headers }) },
    from: (table) => ({ select: (columns, options) => new Query(send, `${rest}/${table}`, columns, options) }),
    rpc: (name, body) => ask(send, `${rest}/rpc/${name}`, { method: 'POST', body }),
  }
}

async function invoke(send, address, request) {
  try {
    const response = await send(address, request)
    if (!response.ok) return { data: null, error: { message: response.statusText, context: response }, response }
    const type = response.headers.get('Content-Type') ?? ''
    if (type.startsWith('text/event-stream')) return { data: response, error: null, response }
    const text = await response.text()
    return { data: type.startsWith('text/') ? text : text && JSON.parse(text), error: null, response }
  } catch (error) {
    return { data: null, error: { message: error.message, context: error } }
  }
}

async function ask(send, address, request) {
  try {
    const response = await send(address, request)
    const { ok, status, statusText } = response
    const text = await response.text()
    const body = text ? JSON.parse(text) : null
    if (!ok) return { data: null, error: body ?? { message: statusText, code: String(status) }, count: null, status }
    const total = response.headers.get('Content-Range')?.split('/')[1]
    return { data: body, error: null, count: total && total !== '*' ? Number(total) : null, status }
  } catch (error) {
    return { data: null, error: { message: error.message }, count: null }
  }
}

/** A read of one table, built step by step and sent when it is awaited. */
class Query {
  constructor(send, address, columns = '*', { count } = {}) {
    Object.assign(this, { send, address, parameters: new URLSearchParams({ select: columns }), headers: count ? { Prefer: `count=${count}` } : {} })
  }

  with(name, value) { this.parameters.append(name, value); return this }
  eq(column, value) { return this.with(column, `eq.${value}`) }
  is(column, value) { return this.with(column, `is.${value}`) }
  in(column, values) { return this.with(column, `in.(${values.join(',')})`) }
  gte(column, value) { return this.with(column, `gte.${value}`) }
  not(column, operator, value) { return this.with(column, `not.${operator}.${value}`) }
  or(filters) { return this.with('or', `(${filters})`) }
  limit(count) { return this.with('limit', count) }
  range(from, to) { return this.with('offset', from).with('limit', to - from + 1) }

  /** Several orders count one after the other, as in one parameter. */
  order(column, { ascending = true } = {}) {
    const before = this.parameters.get('order')
    this.parameters.set('order', `${before ? `${before},` : ''}${column}.${ascending ? 'asc' : 'desc'}`)
    return this
  }

  // oxlint-disable-next-line unicorn/no-thenable -- as supabase-js's own
  then(done, failed) { return ask(this.send, `${this.address}?${this.parameters}`, { headers: this.headers }).then(done, failed) }
}

/** The session: kept for this tab only, renewed a minute before it ends, one renewal at a time. */
class Auth {
  constructor(url, anonKey) {
    Object.assign(this, { url, anonKey, session: JSON.parse(sessionStorage.getItem(KEY) ?? 'null'), renewal: null })
  }

  async getSession() { return { data: { session: await this.fresh() }, error: null } }

  signInWithPassword(credentials) { return this.ask('password', credentials) }

  async signOut() {
    const { session } = this
    this.keep(null)
    if (session) await fetch(`${this.url}/auth/v1/logout?scope=local`, { method: 'POST', headers: { apikey: this.anonKey, Authorization: `Bearer ${session.access_token}` } }).catch(() => {})
  }

  async fresh() {
    if (!this.session || this.session.expires_at * 1000 > Date.now() + 60_000) return this.session
    this.renewal ??= this.renew().finally(() => { this.renewal = null })
    await this.renewal
    return this.session
  }

  /** A session that can't be renewed is over; a server that does not answer ends none. */
  async renew() {
    const { status } = await this.ask('refresh_token', { refresh_token: this.session.refresh_token })
    if (status >= 400 && status < 500 && status !== 429) this.keep(null)
  }

  async ask(grant, body) {
    const request = { method: 'POST', headers: { apikey: this.anonKey, 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(`${this.url}/auth/v1/token?grant_type=${grant}`, request).catch(() => Response.error())
    const answer = await response.json().catch(() => ({}))
    if (!response.ok) return { data: {}, error: { message: answer.msg ?? answer.message ?? response.statusText }, status: response.status }
    this.keep({ ...answer, expires_at: answer.expires_at ?? Date.now() / 1000 + answer.expires_in })
    return { data: { session: this.session }, error: null, status: response.status }
  }

  keep(session) {
    this.session = session
    if (session) sessionStorage.setItem(KEY, JSON.stringify(session))
    else sessionStorage.removeItem(KEY)
  }
}
