/** `<device-integrations organization-id>`: all integrations of an organization, how they fare, and the way to add one. */

import { Element, bar, button, byNeed, choice, define, drawHealth, drawScheduler, drawSpark, empty, h, head, link, note, pages, readHour, readTypes, row, say, sayAgo, sayNumber, sumUp, table, when } from './kit.js'

const FILTERED_FROM = 20
const HOUR_EVERY = 60_000
const SPARK = { count: 12, size: 300_000 }
/** Capabilities by which a first message can come or go. */
const MOVING = ['session', 'parse', 'deliver', 'publish']

define('device-integrations', class extends Element {
  failed = 'integrationsFailed'
  tables = ['device_integrations', 'alerts']

  prepare() { Object.assign(this, { wanted: { text: '', type: '', state: '' }, hour: [], hourAt: 0, fresh: null }) }

  async read() {
    const [page, types, isAdmin] = await Promise.all([pages(this.client, `integrations?organization_id=${this.organization}&limit=200`, 'integrations'), readTypes(this.client), this.may('admin'), this.readHour()])
    const labels = Object.fromEntries(types.map(({ type, label }) => [type, label]))
    const integrations = page.integrations.map((each) => ({ ...each, ...each.health, label: labels[each.integration_type] ?? each.integration_type }))
    return { integrations: integrations.sort(byNeed), isAdmin, types, scheduler: page.scheduler, isCut: Boolean(page.next_cursor) }
  }

  /** The sparklines change slowly: once a minute is enough, and without them the list is whole. */
  async readHour() {
    if (Date.now() - this.hourAt < HOUR_EVERY) return
    this.hourAt = Date.now()
    this.hour = await readHour(this).catch(() => [])
  }

  render({ integrations, isAdmin, scheduler, isCut }) {
    const add = isAdmin ? button('add', () => this.edit({}), 'primary') : h('span', { class: 'quiet' }, say('notAdmin'))
    const shown = integrations.filter((each) => this.isWanted(each))
    return [
      bar('h2', this.headline('integrations'), integrations.length >= FILTERED_FROM && this.drawFilters(integrations), add),
      this.closest('[data-scheduler=elsewhere]') ? null : drawScheduler(scheduler),
      this.fresh && this.child('first-message', { 'data-key': `first-${this.fresh}`, 'integration-id': this.fresh, 'di-closed': () => { this.fresh = null; this.redraw() } }),
      !integrations.length ? empty('noIntegrations', 'noIntegrationsWhy', isAdmin && button('add', () => this.edit({}), 'primary')) : !shown.length ? empty('nothingMatches')
        : table(['name', 'type', 'status', 'devices', 'lastHourShort', 'lastHeard'], shown.map((each) => this.drawOne(each))),
      isCut && note('quiet', say('cut', { count: integrations.length })),
    ]
  }

  drawFilters(integrations) {
    const want = (name) => (value) => { this.wanted[name] = value; this.redraw() }
    const states = [...new Set(integrations.map((each) => each.state))].map((state) => [state, say(`health_${state}`)])
    return [
      h('input', { type: 'search', 'aria-label': say('searchIntegrations'), placeholder: say('searchIntegrations'), input: (event) => want('text')(event.target.value) }),
      choice(say('allTypes'), say('allTypes'), [...new Map(integrations.map((each) => [each.integration_type, each.label]))], want('type')), choice(say('allStates'), say('allStates'), states, want('state')),
    ]
  }

  isWanted({ name, integration_type: type, state }) {
    const { wanted } = this
    return (!wanted.type || type === wanted.type) && (!wanted.state || state === wanted.state) && name.toLowerCase().includes(wanted.text.toLowerCase())
  }

  drawOne(each) {
    const { id, name, state, reason, since, pending, dead } = each
    const hour = this.hour.filter((minute) => minute.integration_id === id)
    const queue = [pending > 0 && say('pendingCount', { count: pending }), dead > 0 && say('deadCount', { count: dead })].filter(Boolean).join(' · ')
    return row(id,
      head(link(name, () => this.open(id), { 'data-id': id }), state !== 'healthy' && note(state === 'failing' ? 'wrong' : 'quiet', reason, since && h('small', {}, ' ', say('since', { when: sayAgo(since) })))),
      each.label, [drawHealth(state), queue && h('p', {}, h('small', {}, queue))], h('td', { class: 'number' }, sayNumber(each.device_count), h('span', { class: 'away' }, ` ${say('devices')}`)),
      [drawSpark(sumUp(hour, SPARK).map((bucket) => bucket.stored + bucket.failed), say('last_hour')), h('div', {}, h('small', {}, say('inADay', { count: each.messages_24h })))],
      when(each.last_message_at ?? each.last_delivered_at ?? hour[0]?.minute ?? each.last_sync_at))
  }

  /** Where the host has a page for it, that; else the dialog. */
  open(id) { if (this.tell('di-open', { kind: 'integration', id })) this.edit({ id }) }

  async edit(what) {
    const dialog = await this.openDialog('device-integration-dialog', { 'di-saved': ({ detail }) => this.welcome(detail), 'di-deleted': () => this.refresh() })
    await dialog?.open(what)
  }

  welcome({ id, isNew, integration_type: type }) {
    const capabilities = this.data?.types.find((each) => each.type === type)?.capabilities ?? []
    if (isNew && MOVING.some((each) => capabilities.includes(each))) this.fresh = id
    this.refresh()
  }
})
