/** `<device-list organization-id integration-id>`: all devices and whether they are online; only the rows in sight are in the page. */

import { Element, choice, define, drawDeviceStatus, empty, gap, h, link, note, rows, say, sayAgo } from './kit.js'
import './more.js'

const ROW = 36
const PAGE = 100
const SPARE = 8
const COLUMNS = 'id,external_id,name,status,last_seen_at,firmware_version,integration_id'
const STATES = ['online', 'offline', 'unknown']

define('device-list', class extends Element {
  failed = 'devicesFailed'
  tables = ['devices']

  prepare() { Object.assign(this, { found: new Map(), asked: new Set(), total: null, wanted: { text: '', status: '', integration: '' }, epoch: 0 }) }

  async read() {
    this.names ??= rows(this.client.from('device_integrations').select('id,name').eq('organization_id', this.organization).order('name').limit(1000)).catch((error) => { this.names = null; throw error })
    const names = new Map((await this.names).map(({ id, name }) => [id, name]))
    const [first, last] = this.range()
    await Promise.all([...new Set([0, Math.floor(first / PAGE), Math.floor(Math.max(first, last - 1) / PAGE)])].map((page) => this.load(page)))
    return { names }
  }

  async load(page) {
    const { epoch, wanted: { text, status, integration } } = this
    let query = this.query('devices', COLUMNS, { count: page === 0 && 'exact', status, integration_id: integration })
    if (text) query = query.or(`name.ilike.*${text}*,external_id.ilike.*${text}*`)
    const found = await rows(query.order('external_id').order('id').range(page * PAGE, page * PAGE + PAGE - 1))
    if (epoch !== this.epoch) return
    if (page === 0) this.total = found.total ?? found.length
    this.found.set(page, found)
  }

  narrow(change) {
    clearTimeout(this.typing)
    this.typing = setTimeout(() => {
      Object.assign(this.wanted, change)
      this.found.clear()
      this.asked.clear()
      this.epoch++
      this.scroller?.scrollTo(0, 0)
      this.refresh()
    }, 'text' in change ? 200 : 0)
  }

  /** Once a frame at most, and only where other rows come into sight. */
  plan() {
    this.planned ??= requestAnimationFrame(() => {
      this.planned = null
      if (this.range()[0] !== this.first) this.redraw()
    })
  }

  get scroller() { return this.shadowRoot.querySelector('.scroller') }

  /** The rows to draw: those in sight and some more, moving on by half of those. */
  range() {
    const { scrollTop = 0, clientHeight = 0 } = this.scroller ?? {}
    const step = SPARE / 2
    const first = Math.max(0, Math.floor(scrollTop / ROW / step) * step - step)
    return [first, Math.min(this.total ?? PAGE, first + Math.ceil((clientHeight || 480) / ROW) + SPARE)]
  }

  render({ names }) {
    const [first, last] = this.range()
    const { text, status, integration } = this.wanted
    const isNarrowed = text || status || integration
    this.first = first
    return [this.drawBar(names), this.total === 0 ? isNarrowed ? note('empty', text ? say('noDeviceMatches', { text }) : say('nothingMatches')) : empty('noDevices', 'noDevicesWhy') : this.drawRows(first, last, names)]
  }

  drawBar(names) {
    const want = (name) => (value) => this.narrow({ [name]: value })
    return h('div', { class: 'bar', 'data-key': 'bar' }, h('h2', {}, this.headline('devices')), h('span', { role: 'status', class: 'quiet' }, this.total === null ? '' : say('ofDevices', { count: this.total })), gap(),
      h('input', { type: 'search', 'aria-label': say('searchDevices'), placeholder: say('searchDevices'), input: (event) => want('text')(quote(event.target.value)) }),
      choice(say('status'), say('allStates'), STATES.map((state) => [state, say(`device_${state}`)]), want('status')), !this.integration && names.size > 1 && choice(say('integration'), say('allIntegrations'), [...names], want('integration')))
  }

  drawRows(first, last, names) {
    const columns = ['name', 'status', 'seen', 'integration', 'firmware'].map((word, index) => h('th', { scope: 'col', class: index > 2 && 'minor' }, say(word)))
    const shown = Array.from({ length: Math.max(0, last - first) }, (_, index) => this.drawOne(first + index, names))
    return h('div', { class: 'scroller', tabindex: '0', role: 'region', 'aria-label': say('devices'), scroll: () => this.plan() },
      h('table', { 'aria-rowcount': (this.total ?? 0) + 1 }, h('thead', {}, h('tr', { 'aria-rowindex': 1 }, columns)), h('tbody', {}, space(first, 'above'), shown, space((this.total ?? last) - last, 'below'))))
  }

  drawOne(index, names) {
    const page = Math.floor(index / PAGE)
    const device = this.found.get(page)?.[index % PAGE]
    if (!this.found.has(page) && !this.asked.has(page)) {
      this.asked.add(page)
      this.load(page).then(() => this.redraw(), () => this.asked.delete(page))
    }
    const { id, name, external_id: external, status, last_seen_at: seen, integration_id: integration, firmware_version: firmware } = device ?? {}
    const open = () => this.tell('di-open', { kind: 'device', id })
    return h('tr', { 'aria-rowindex': index + 2 }, h('th', { scope: 'row' }, device ? link(name ?? external, open, { title: external }) : '…'),
      h('td', {}, device && drawDeviceStatus(status)), h('td', {}, device && sayAgo(seen)), h('td', { class: 'minor' }, names.get(integration)), h('td', { class: 'minor' }, firmware))
  }
})

/** The height of rows that are not in the page, as a row without borders, as wide as the columns of a small screen. */
function space(count, where) {
  const cell = h('td', { colspan: 3 })
  cell.style.height = `${Math.max(0, count) * ROW}px`
  return h('tr', { class: 'space', 'aria-hidden': 'true', 'data-key': where }, cell)
}

const quote = (text) => text.replace(/[\\"(),*%]/g, ' ').trim()
