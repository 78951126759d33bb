/** What all our elements share, dialogs too: a shadow root with our styles, the host's client and attributes, leaving with care. */

import { asProblem, call, hasRole } from './api.js'
import { h } from './dom.js'
import { ready, say, setLanguage } from './language.js'
import { sheets } from './styles.js'

let shared = null
const waiting = new Set()

/** The client that elements use which were not given one. */
export function useClient(client) {
  shared = client
  for (const element of waiting) element.start()
}

const LEAVING = ['beforeunload', 'di-leaving']

/** Calls `begin()` once it stands in a page and there is a client, and anew when its attributes change; `stop` ends what that began. */
export class Hosted extends HTMLElement {
  static observedAttributes = ['organization-id', 'integration-id', 'device-id', 'heading']

  stop = null

  /** Who has typed something is asked before it is thrown away: by the browser, and where only the screen changes by us. */
  guard = (event) => { if (this.isDirty && (event.type === 'beforeunload' || !confirm(say('leaveUnsaved')))) event.preventDefault() }

  constructor() {
    super()
    this.attachShadow({ mode: 'open' }).adoptedStyleSheets = sheets
    this.view = h('div') // What is redrawn; a dialog stands beside it, as one that is moved would close.
    this.shadowRoot.append(this.view)
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

  /** Whether something was typed that is nowhere else. */
  get isDirty() { return this.asking?.isDirty ?? false }

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

  start() {
    this.stop?.()
    this.stop = null
    if (this.isConnected && this.client) this.begin()
  }

  call(...request) { return call(this.client, ...request) }
  may(role) { return hasRole(this.client, this.organization, role) }

  /** The document of whatever was thrown; that the session has ended is told. */
  hear(error) {
    const { document } = asProblem(error)
    if (document.status === 401) this.tell('di-unauthenticated')
    return document
  }

  tell(name, detail) { return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true })) }
}
