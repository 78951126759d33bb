/** The session: kept for this tab only, renewed a minute before it ends, one renewal at a time. */

const KEY = 'di-session'

export class Auth {
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
    let response
    try {
      response = await fetch(`${this.url}/auth/v1/token?grant_type=${grant}`, { method: 'POST', headers: { apikey: this.anonKey, 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    } catch (error) {
      return { data: {}, error: { message: error.message }, status: 0 }
    }
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
