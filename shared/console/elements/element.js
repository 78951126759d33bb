/** What all our elements share: a shadow root with our styles, the host's client, freshness, and one way to speak up. */

import { Problem, asProblem, hasRole } from './api.js'
import { h, patch } from './dom.js'
import { ready, say, sayAge, setLanguage } from './language.js'
import { button } from './parts.js'
import { sheet } from './styles.js'
import { watch } from './watch.js'

let shared = null
const waiting = new Set()

/** The client that elements use which were not given one. */
export function useClient(client) {
  shared = client
  for (const element of waiting) element.start()
}

/** What the page is told before it is left: by the browser, and by our own page between its screens. */
const LEAVING = ['beforeunload', 'di-leaving']

/** An element shows what `read()` answers, as `render(data)` draws it, and asks again as `freshness` says. */
export class Element extends HTMLElement {
  static observedAttributes = ['organization-id', 'integration-id', 'device-id', 'heading']

  /** Who has typed something is asked before it is thrown away: by the browser, and where only the screen changes by us. */
  guard = (event) => { if (this.isDirty && (event.type === 'beforeunload' || !confirm(say('leaveUnsaved')))) event.preventDefault() }

  constructor() {
    super()
    this.attachShadow({ mode: 'open' }).adoptedStyleSheets = [sheet]
    this.view = h('div') // What is redrawn; a dialog stands beside it, as one that is moved would close.
    this.shadowRoot.append(this.view)
    Object.assign(this, { data: undefined, problem: null, message: null, turn: 0 })
    if (!Object.hasOwn(this, 'client')) return
    // Given before this class was there: the property would hide ours.
    this.given = this.client || null
    delete this.client
  }

  get client() { return this.given ?? shared }
  set client(client) { this.given = client || null; this.start() }

  get organization() { return this.getAttribute('organization-id') }
  get integration() { return this.getAttribute('integration-id') }
  get device() { return this.getAttribute('device-id') }

  connectedCallback() {
    waiting.add(this)
    LEAVING.forEach((way) => addEventListener(way, this.guard))
    const tagged = this.closest('[lang]')
    if (tagged) setLanguage(tagged.lang)
    ready().then(() => this.start())
  }

  disconnectedCallback() {
    waiting.delete(this)
    LEAVING.forEach((way) => removeEventListener(way, this.guard))
    this.stop?.()
    this.stop = null
  }

  attributeChangedCallback(_, before, now) {
    if (before !== now && this.stop) this.start()
  }

  /** Begin once there is a client and the element stands in a page. */
  start() {
    this.stop?.()
    this.stop = null
    if (!this.isConnected || !this.client) return
    Object.assign(this, { data: undefined, problem: null, message: null })
    this.begin()
  }

  begin() {
    this.prepare?.()
    this.redraw()
    this.stop = watch(this.client, () => this.refresh(), this.freshness ?? {})
  }

  /** Whether something was typed that is nowhere else. */
  get isDirty() { return this.fields?.some((field) => field.read() !== undefined) ?? false }

  /** Whether the user has this role here, or a higher one. */
  may(role) { return hasRole(this.client, this.organization, role) }

  async refresh() {
    const turn = ++this.turn
    try {
      const data = await this.read()
      if (turn !== this.turn) return
      Object.assign(this, { data, problem: null, readAt: Date.now() })
    } catch (error) {
      if (turn !== this.turn) return
      this.problem = asProblem(error)
      if (this.problem.document.status === 401) this.tell('di-unauthenticated')
    }
    this.redraw()
  }

  redraw() {
    if (!this.isConnected) return
    try {
      const body = this.data === undefined ? (this.problem ? null : h('p', { class: 'pad quiet' }, say('loading'))) : this.render(this.data)
      this.draw(this.renderNotes(), body)
    } catch (error) { // What nobody thought of is said, and asked for again, as what can't be read.
      Object.assign(this, { data: undefined, problem: new Problem({ status: -1, detail: error.message }) })
      this.draw(this.renderNotes())
    }
  }

  renderNotes() {
    return h('div', { role: 'status', class: 'notes', 'data-key': 'notes' },
      this.problem && drawProblem(this.problem, this.data === undefined ? say(this.failed ?? 'loadFailed') : say('stale', { age: sayAge(this.readAt) }),
        () => this.refresh()),
      this.message && h('p', { class: this.message.bad ? 'summary' : 'done' }, this.message.text, ' ', this.message.reference && h('small', {}, this.message.reference)))
  }

  /** Carries out what somebody asked for, says what came of it, and shows how things stand then. */
  async act(work, done) {
    this.message = null
    try {
      const answer = await work()
      if (done) this.message = { text: typeof done === 'function' ? done(answer) : done }
    } catch (error) {
      const { document } = asProblem(error)
      if (document.status === 401) this.tell('di-unauthenticated')
      this.message = { bad: true, text: explain(document), reference: document.request_id && say('reference', { id: document.request_id }) }
    }
    await this.refresh()
  }

  draw(...children) {
    const focused = this.shadowRoot.activeElement
    patch(this.view, ...children)
    if (focused?.isConnected && this.shadowRoot.activeElement !== focused) focused.focus()
  }

  tell(name, detail) { return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true })) }
}

/** A problem in one sentence for people. */
export function explain({ status, detail, waits }) {
  if (status === 0) return say('offline')
  if (status === 401) return say('sessionEnded')
  if (status === 429 && waits) return say('tooMany', { seconds: waits })
  return detail
}

function drawProblem({ document }, lead, retry) {
  return h('div', { class: 'summary' }, h('strong', {}, lead), h('p', {}, explain(document)),
    document.request_id && h('small', {}, say('reference', { id: document.request_id })), button('retry', retry))
}
