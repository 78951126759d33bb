/** `<device-list organization-id integration-id>`: all devices and whether they are online; only the rows in sight are in the page. */

import { rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawDeviceStatus } from './health.js'
import { say, sayAgo } from './language.js'
import { define } from './load.js'
import { empty } from './parts.js'

const ROW = 36
const PAGE = 100
const SPARE = 8
const COLUMNS = 'id,external_id,name,status,last_seen_at,firmware_version,integration_id'
const STATES = ['online', 'offline', 'unknown']

export class Devices extends Element {
  failed = 'devicesFailed'

  get freshness() { return { tables: ['devices'], filter: `organization_id=eq.${this.organization}` } }

  prepare() { Object.assign(this, { found: new Map(), asked: new Set(), total: null, wanted: { text: '', status: '', integration: this.integration ?? '' }, epoch: 0 }) }

  async read() {
    this.names ??= rows(this.client.from('device_integrations').select('id,name').eq('organization_id', this.organization).order('name').limit(1000)).catch((error) => { this.names = null; throw error })
    const names = new Map((await this.names).map(({ id, name }) => [id, name]))
    const [first, last] = this.range()
    await Promise.all([...new Set([0, Math.floor(first / PAGE), Math.floor(Math.max(first, last - 1) / PAGE)])].map((page) => this.load(page)))
    return { names }
  }

  async load(page) {
    const { epoch, wanted } = this
    let query = this.client.from('devices').select(COLUMNS, page === 0 ? { count: 'exact' } : {}).eq('organization_id', this.organization)
    if (wanted.text) query = query.or(`name.ilike.*${wanted.text}*,external_id.ilike.*${wanted.text}*`)
    if (wanted.status) query = query.eq('status', wanted.status)
    if (wanted.integration) query = query.eq('integration_id', wanted.integration)
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
      const scroller = this.shadowRoot.querySelector('.scroller')
      if (scroller) scroller.scrollTop = 0
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

  /** The rows to draw: those in sight and some more, moving on by half of those. */
  range() {
    const scroller = this.shadowRoot.querySelector('.scroller')
    const step = SPARE / 2
    const first = Math.max(0, Math.floor((scroller?.scrollTop ?? 0) / ROW / step) * step - step)
    return [first, Math.min(this.total ?? PAGE, first + Math.ceil((scroller?.clientHeight || 480) / ROW) + SPARE)]
  }

  render({ names }) {
    const [first, last] = this.range()
    this.first = first
    const isNarrowed = this.wanted.text || this.wanted.status || (this.wanted.integration && !this.integration)
    return [
      this.drawBar(names),
      this.total === 0 ? isNarrowed ? h('p', { class: 'empty' }, say('noDeviceMatches', { text: this.wanted.text })) : empty('noDevices', 'noDevicesWhy') : this.drawRows(first, last, names),
    ]
  }

  drawBar(names) {
    const type = (event) => this.narrow({ text: quote(event.target.value) })
    const choose = (name) => (event) => this.narrow({ [name]: event.target.value })
    return h('div', { class: 'bar', 'data-key': 'bar' }, h('h2', {}, this.getAttribute('heading') ?? say('devices')), h('span', { role: 'status', class: 'quiet' }, this.total === null ? '' : say('ofDevices', { count: this.total })), h('span', { class: 'gap' }),
      h('input', { type: 'search', 'aria-label': say('searchDevices'), placeholder: say('searchDevices'), input: type }),
      h('select', { 'aria-label': say('status'), change: choose('status') }, h('option', { value: '' }, say('allStates')), STATES.map((state) => h('option', { value: state }, say(`device_${state}`)))),
      !this.integration && names.size > 1 && h('select', { 'aria-label': say('integration'), change: choose('integration') }, h('option', { value: '' }, say('allIntegrations')), [...names].map(([id, name]) => h('option', { value: id }, name))))
  }

  drawRows(first, last, names) {
    const head = ['name', 'status', 'seen', 'integration', 'firmware'].map((word, index) => h('th', { scope: 'col', class: index > 2 && 'minor' }, say(word)))
    const shown = []
    for (let index = first; index < last; index++) shown.push(this.drawRow(index, names))
    return h('div', { class: 'scroller', tabindex: '0', role: 'region', 'aria-label': say('devices'), scroll: () => this.plan() },
      h('table', { 'aria-rowcount': (this.total ?? 0) + 1 }, h('thead', {}, h('tr', { 'aria-rowindex': 1 }, head)), h('tbody', {}, space(first, 'above'), shown, space((this.total ?? last) - last, 'below'))))
  }

  drawRow(index, names) {
    const page = Math.floor(index / PAGE)
    const device = this.found.get(page)?.[index % PAGE]
    if (!this.found.has(page) && !this.asked.has(page)) {
      this.asked.add(page)
      this.load(page).then(() => this.redraw(), () => this.asked.delete(page))
    }
    const name = device ? h('button', { type: 'button', class: 'link', title: device.external_id, click: () => this.tell('di-open', { kind: 'device', id: device.id }) }, device.name ?? device.external_id) : '…'
    return h('tr', { 'aria-rowindex': index + 2 }, h('th', { scope: 'row' }, name), h('td', {}, device && drawDeviceStatus(device.status)), h('td', {}, device && sayAgo(device.last_seen_at)),
      h('td', { class: 'minor' }, names.get(device?.integration_id) ?? ''), h('td', { class: 'minor' }, device?.firmware_version ?? ''))
  }
}

/** The height of rows that are not in the page, as a row without borders. */
function space(count, where) {
  const cell = h('td', { colspan: 5 })
  cell.style.height = `${Math.max(0, count) * ROW}px`
  return h('tr', { class: 'space', 'aria-hidden': 'true', 'data-key': where }, cell)
}

const quote = (text) => text.replace(/[\\"(),*%]/g, ' ').trim()

define('device-list', Devices)
