/** `<organization-start>`: whether anything runs, what needs somebody, and what came and went in the last hour. */

import { Element, bar, define, drawDeliveryStatus, drawDeviceStatus, drawScheduler, h, head, link, row, rows, say, sayNumber, table, when, wide } from './kit.js'

const STATES = ['delivered', 'pending', 'dead']
const COUNT_EVERY = 15_000
const SLEEPY = 5
const DELIVERY = 'id,event_type,status,created_at,integration_id,webhook_attempts(attempt,status_code,error,reply)'

define('organization-start', class extends Element {
  failed = 'startFailed'

  prepare() { Object.assign(this, { counts: null, countedAt: 0 }) }

  async read() {
    const [list, silent, deliveries] = await Promise.all([
      this.call('GET', `integrations?organization_id=${this.organization}&limit=1`),
      rows(this.query('devices', 'id,name,external_id,status,last_seen_at', { status: 'offline' }).order('last_seen_at').limit(SLEEPY)),
      rows(this.query('webhook_deliveries', DELIVERY).order('created_at', { ascending: false }).limit(10)),
      this.count(),
    ])
    return { scheduler: list.body.scheduler, silent, deliveries, names: await this.readNames('device_integrations', 'integration_id', deliveries) }
  }

  /** How many deliveries of the last hour stand how; counting takes longer than looking, so less often. */
  async count() {
    if (Date.now() - this.countedAt < COUNT_EVERY) return
    this.countedAt = Date.now()
    const since = new Date(Date.now() - 3_600_000).toISOString()
    const ask = async (state) => [state, (await rows(this.query('webhook_deliveries', 'id', { count: 'exact', status: state }).gte('created_at', since).limit(1))).total]
    this.counts = await Promise.all(STATES.map(ask)).catch(() => null)
  }

  render({ scheduler, silent, deliveries, names }) {
    const open = (kind, id) => () => this.tell('di-open', { kind, id })
    return [
      drawScheduler(scheduler), this.child('integration-alerts', { brief: true }), this.child('device-integrations', { 'data-scheduler': 'elsewhere' }),
      h('section', { class: 'block' }, this.child('integration-chart'), this.counts && h('p', {}, say('sentLastHour'), ' ', this.counts.map(([state, count]) => [h('span', {}, sayNumber(count ?? 0), ' '), drawDeliveryStatus(state), ' ']))),
      silent.length > 0 && h('section', { class: 'block' }, bar('h2', say('silentDevices')),
        table(['name', 'status', 'seen'], silent.map((each) => row(each.id, head(link(each.name ?? each.external_id, open('device', each.id))), drawDeviceStatus(each.status), when(each.last_seen_at))))),
      this.child('integration-messages'),
      deliveries.length > 0 && h('section', { class: 'block' }, bar('h3', say('lastDeliveries')), table(['when', 'integration', 'event', 'status', 'answer'], deliveries.map((each) => row(each.id,
        when(each.created_at), head(link(names.get(each.integration_id) ?? '–', open('integration', each.integration_id))), each.event_type, drawDeliveryStatus(each.status), wide(drawAnswer(each.webhook_attempts)))))),
      this.child('integration-activity'),
    ]
  }
})

function drawAnswer(attempts) {
  const last = attempts.toSorted((one, other) => one.attempt - other.attempt).at(-1)
  return last && [last.status_code && `HTTP ${last.status_code} `, last.error ?? last.reply]
}
