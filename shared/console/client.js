/** As much of supabase-js as our elements need, for the page that stands alone. In an app, its own client is used instead. */

import { Auth } from './auth.js'

/** Longer than any function may take: what has not answered by then does not. */
const PATIENCE = 60_000

export function createClient(url, anonKey, functionsUrl = `${url}/functions/v1`) {
  const auth = new Auth(url, anonKey)
  const send = async (address, { method = 'GET', body, headers = {} } = {}) => {
    const token = (await auth.fresh())?.access_token ?? anonKey
    const request = { method, signal: AbortSignal.timeout(PATIENCE), headers: { apikey: anonKey, Authorization: `Bearer ${token}`, ...headers } }
    if (body === undefined) return fetch(address, request)
    return fetch(address, { ...request, body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...request.headers } })
  }
  const rest = `${url}/rest/v1`
  return {
    auth,
    functions: { url: functionsUrl, invoke: (path, options = {}) => invoke(send, `${functionsUrl}/${path}`, options) },
    from: (table) => ({ select: (columns, options) => new Query(send, `${rest}/${table}`, columns, options) }),
    rpc: (name, body) => ask(send, `${rest}/rpc/${name}`, { method: 'POST', body }),
  }
}

async function invoke(send, address, { method = 'POST', body, headers }) {
  try {
    const response = await send(address, { method, body, headers })
    if (!response.ok) return { data: null, error: { message: response.statusText, context: response }, response }
    const isLive = response.headers.get('Content-Type')?.startsWith('text/event-stream')
    const text = isLive ? '' : await response.text()
    const isText = response.headers.get('Content-Type')?.startsWith('text/')
    return { data: isLive ? response : isText ? text : text && JSON.parse(text), error: null, response }
  } catch (error) {
    return { data: null, error: { message: error.message, context: error } }
  }
}

async function ask(send, address, request) {
  try {
    const response = await send(address, request)
    const text = await response.text()
    const body = text ? JSON.parse(text) : null
    if (!response.ok) return { data: null, error: body ?? { message: response.statusText, code: String(response.status) }, count: null, status: response.status }
    const total = response.headers.get('Content-Range')?.split('/')[1]
    return { data: body, error: null, count: total && total !== '*' ? Number(total) : null, status: response.status }
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
