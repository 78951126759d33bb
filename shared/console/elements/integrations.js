/** `<device-integrations organization-id>`: all integrations of an organization, how they fare, and the way to add one. */

import { pages, readTypes } from './api.js'
import { h } from './dom.js'
import { drawSpark, sumUp } from './drawing.js'
import { Element } from './element.js'
import { byNeed, drawHealth, drawScheduler } from './health.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define, load } from './load.js'
import { readHour } from './metrics.js'
import { button, empty, table } from './parts.js'

const FILTERED_FROM = 20
const HOUR_EVERY = 60_000
const SPARK = { count: 12, size: 300_000 }

export class Integrations extends Element {
  failed = 'integrationsFailed'

  get freshness() { return { tables: ['device_integrations', 'alerts'], filter: `organization_id=eq.${this.organization}` } }

  prepare() { Object.assign(this, { wanted: { text: '', type: '', state: '' }, hour: [], hourAt: 0, fresh: null }) }

  async read() {
    const [page, types, isAdmin] = await Promise.all([
      pages(this.client, `integrations?organization_id=${this.organization}&limit=200`, 'integrations'), readTypes(this.client), this.may('admin'), this.readHour()])
    const labels = Object.fromEntries(types.map(({ type, label }) => [type, label]))
    const integrations = page.integrations.map((each) => ({ ...each, ...each.health, label: labels[each.integration_type] ?? each.integration_type }))
    return { integrations: integrations.sort(byNeed), isAdmin, types, scheduler: page.scheduler, isCut: Boolean(page.next_cursor) }
  }

  /** The sparklines change slowly: once a minute is enough, and without them the list is whole. */
  async readHour() {
    if (Date.now() - this.hourAt < HOUR_EVERY) return
    this.hourAt = Date.now()
    this.hour = await readHour(this.client, this).catch(() => [])
  }

  render({ integrations, isAdmin, scheduler, isCut }) {
    const add = isAdmin ? button('add', () => this.edit({}), 'primary') : h('span', { class: 'quiet' }, say('notAdmin'))
    const shown = integrations.filter((each) => this.isWanted(each))
    return [
      h('div', { class: 'bar', 'data-key': 'bar' }, h('h2', {}, this.getAttribute('heading') ?? say('integrations')), h('span', { class: 'gap' }), integrations.length >= FILTERED_FROM && this.drawFilters(integrations), add),
      this.closest('[data-scheduler=elsewhere]') ? null : drawScheduler(scheduler),
      this.fresh && h('first-message', { 'data-key': `first-${this.fresh}`, client: this.given, 'organization-id': this.organization, 'integration-id': this.fresh, 'di-closed': () => { this.fresh = null; this.redraw() } }),
      integrations.length ? this.drawTable(shown) : this.drawEmpty(isAdmin), isCut && h('p', { class: 'quiet' }, say('cut', { count: integrations.length })),
    ]
  }

  drawEmpty(isAdmin) {
    return empty('noIntegrations', 'noIntegrationsWhy', isAdmin && button('add', () => this.edit({}), 'primary'))
  }

  drawFilters(integrations) {
    const change = (name) => (event) => { this.wanted[name] = event.target.value; this.redraw() }
    const choices = (name, all, words) => h('select', { 'aria-label': all, change: change(name) }, h('option', { value: '' }, all), words.map(([value, word]) => h('option', { value }, word)))
    const types = [...new Map(integrations.map((each) => [each.integration_type, each.label]))]
    const states = [...new Set(integrations.map((each) => each.state))].map((state) => [state, say(`health_${state}`)])
    return [h('input', { type: 'search', 'aria-label': say('searchIntegrations'), placeholder: say('searchIntegrations'), input: change('text') }), choices('type', say('allTypes'), types), choices('state', say('allStates'), states)]
  }

  isWanted({ name, integration_type: type, state }) {
    const { wanted } = this
    return (!wanted.type || type === wanted.type) && (!wanted.state || state === wanted.state) && name.toLowerCase().includes(wanted.text.toLowerCase())
  }

  drawTable(integrations) {
    if (!integrations.length) return empty('nothingMatches')
    return table(['name', 'type', 'status', 'devices', 'lastHourShort', 'lastHeard'], integrations.map((each) => this.drawRow(each)))
  }

  drawRow(each) {
    const { id, name, label, reason, since } = each
    const hour = this.hour.filter((row) => row.integration_id === id)
    const heard = each.last_message_at ?? each.last_delivered_at ?? hour[0]?.minute ?? each.last_sync_at
    const spark = sumUp(hour, SPARK).map((bucket) => bucket.stored + bucket.failed)
    const day = h('div', {}, h('small', {}, say('inADay', { count: each.messages_24h })))
    return h('tr', { 'data-key': id },
      h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', 'data-id': id, click: () => this.open(id) }, name),
        each.state !== 'healthy' && h('p', { class: each.state === 'failing' ? 'wrong' : 'quiet' }, reason, since && h('small', {}, ' ', say('since', { when: sayAgo(since) })))),
      h('td', {}, label), h('td', {}, drawHealth(each), drawQueue(each)), h('td', { class: 'number' }, h('span', {}, sayNumber(each.device_count)), h('span', { class: 'away' }, ` ${say('devices')}`)),
      h('td', {}, drawSpark(spark, say('last_hour')), day), h('td', {}, sayAgo(heard)))
  }

  /** Where the host has a page for it, that; else the dialog. */
  open(id) { if (this.tell('di-open', { kind: 'integration', id })) this.edit({ id }) }

  async edit(what) {
    if (!(await load('device-integration-dialog'))) return this.act(() => { throw new Error() })
    if (!this.dialog) {
      this.dialog = Object.assign(document.createElement('device-integration-dialog'), { given: this.given })
      this.dialog.addEventListener('di-saved', ({ detail }) => this.welcome(detail))
      this.dialog.addEventListener('di-deleted', () => this.refresh())
    }
    this.dialog.setAttribute('organization-id', this.organization)
    if (!this.dialog.isConnected) this.shadowRoot.append(this.dialog)
    await this.dialog.open(what)
  }

  welcome({ id, isNew, integration_type: type }) {
    const capabilities = this.data?.types.find((each) => each.type === type)?.capabilities ?? []
    if (isNew && ['session', 'parse', 'deliver', 'publish'].some((each) => capabilities.includes(each))) this.fresh = id
    this.refresh()
  }
}

/** What waits to be sent, and what was given up, where there is any. */
function drawQueue({ pending, dead }) {
  const counts = [pending > 0 && say('pendingCount', { count: pending }), dead > 0 && say('deadCount', { count: dead })].filter(Boolean)
  return counts.length > 0 && h('p', {}, h('small', {}, counts.join(' · ')))
}

define('device-integrations', Integrations)
