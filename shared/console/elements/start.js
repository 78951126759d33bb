/** `<organization-start>`: whether anything runs, what needs somebody, and what came and went in the last hour. */

import { call, readNames, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawDeliveryStatus, drawDeviceStatus, drawScheduler } from './health.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define } from './load.js'
import { bar, table } from './parts.js'

const STATES = ['delivered', 'pending', 'dead']
const COUNT_EVERY = 15_000
const SLEEPY = 5

export class Start extends Element {
  failed = 'startFailed'

  prepare() { Object.assign(this, { counts: null, countedAt: 0 }) }

  async read() {
    const { client, organization } = this
    const [list, silent, deliveries] = await Promise.all([
      call(client, 'GET', `integrations?organization_id=${organization}&limit=1`),
      rows(client.from('devices').select('id,name,external_id,status,last_seen_at').eq('organization_id', organization).eq('status', 'offline').order('last_seen_at').limit(SLEEPY)),
      rows(client.from('webhook_deliveries').select('id,event_type,status,created_at,integration_id,webhook_attempts(attempt,status_code,error,reply)').eq('organization_id', organization).order('created_at', { ascending: false }).limit(10)),
      this.count(),
    ])
    return { scheduler: list.body.scheduler, silent, deliveries, names: await readNames(client, 'device_integrations', deliveries.map((each) => each.integration_id)) }
  }

  /** How many deliveries of the last hour stand how; counting takes longer than looking, so less often. */
  async count() {
    if (Date.now() - this.countedAt < COUNT_EVERY) return
    this.countedAt = Date.now()
    const since = new Date(Date.now() - 3_600_000).toISOString()
    const ask = (state) => rows(this.client.from('webhook_deliveries').select('id', { count: 'exact' }).eq('organization_id', this.organization).gte('created_at', since).eq('status', state).limit(1))
    this.counts = await Promise.all(STATES.map(async (state) => [state, (await ask(state)).total])).catch(() => null)
  }

  render({ scheduler, silent, deliveries, names }) {
    const own = { client: this.given, 'organization-id': this.organization }
    const open = (kind, id) => () => this.tell('di-open', { kind, id })
    return [
      drawScheduler(scheduler), h('integration-alerts', { ...own, brief: true }), h('device-integrations', { ...own, 'data-scheduler': 'elsewhere' }),
      h('section', { class: 'block' }, h('integration-chart', own), this.counts && h('p', {}, say('sentLastHour'), ' ', this.counts.map(([state, count]) => [h('span', {}, sayNumber(count ?? 0), ' '), drawDeliveryStatus(state), ' ']))),
      silent.length > 0 && h('section', { class: 'block' }, bar('h2', say('silentDevices')), table(['name', 'status', 'seen'], silent.map((each) => h('tr', { 'data-key': each.id }, h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', click: open('device', each.id) }, each.name ?? each.external_id)), h('td', {}, drawDeviceStatus(each.status)), h('td', {}, sayAgo(each.last_seen_at)))))),
      h('integration-messages', own),
      deliveries.length > 0 && h('section', { class: 'block' }, bar('h3', say('lastDeliveries')), table(['when', 'integration', 'event', 'status', 'answer'], deliveries.map((each) => drawDelivery(each, names, open)))),
      h('integration-activity', own),
    ]
  }
}

function drawDelivery(each, names, open) {
  const last = each.webhook_attempts.toSorted((one, other) => one.attempt - other.attempt).at(-1)
  return h('tr', { 'data-key': each.id }, h('td', {}, sayAgo(each.created_at)), h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', click: open('integration', each.integration_id) }, names.get(each.integration_id) ?? '–')), h('td', {}, each.event_type),
    h('td', {}, drawDeliveryStatus(each.status)), h('td', { class: 'wide' }, last ? [last.status_code && `HTTP ${last.status_code} `, last.error ?? last.reply ?? ''] : ''))
}

define('organization-start', Start)
