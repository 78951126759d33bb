/** What is told, newest first, of an organization, an integration or a device: alerts, messages, activity. */

import { Element, SINCE, bar, button, choice, chooseSince, define, drawLevel, empty, gap, h, head, link, note, row, rows, say, sayAgo, table, when, wide } from './kit.js'

const MOST = 100
const COLUMNS = 'id,external_id,kind,topic,payload,raw,raw_encoding,error,remark,received_at,device_id'
const CUT = 400
const LEVELS = ['info', 'warning', 'error']

/** `<integration-alerts>`: what somebody should look at, the open ones first; `brief` shows no more than those. */
define('integration-alerts', class extends Element {
  failed = 'alertsFailed'
  tables = ['alerts']

  get isBrief() { return this.hasAttribute('brief') }

  async read() {
    let query = this.query('alerts', '*')
    if (this.isBrief) query = query.is('resolved_at', null)
    // Open before resolved, new before acknowledged, errors before warnings: each null and `error` come first in its order.
    for (const [column, ascending] of [['resolved_at', false], ['acknowledged_at', false], ['level', true], ['created_at', false]]) query = query.order(column, { ascending })
    const [alerts, isMember] = await Promise.all([rows(query.limit(MOST)), this.may('member')])
    return { alerts, isMember, names: await this.readNames('device_integrations', 'integration_id', alerts) }
  }

  render({ alerts, isMember, names }) {
    if (this.isBrief && !alerts.length) return null
    return [
      bar('h2', this.headline(this.isBrief ? 'needsYou' : 'alerts')),
      alerts.length ? h('ul', { class: 'plain' }, alerts.map((alert) => this.drawOne(alert, isMember, names))) : empty('noAlerts', 'noAlertsWhy'),
      alerts.length === MOST && note('quiet', say('cut', { count: MOST })),
    ]
  }

  drawOne({ id, integration_id: integration, level, message, created_at: raised, acknowledged_at: taken, resolved_at: over }, isMember, names) {
    const open = () => this.tell('di-open', { kind: 'integration', id: integration })
    const acknowledge = () => this.act(() => rows(this.client.rpc('acknowledge_alert', { id })), say('acknowledged'))
    return h('li', { class: `summary ${over ? 'over' : level === 'error' ? '' : 'warning'}`, 'data-key': id },
      h('div', { class: 'bar' }, over ? h('span', { class: 'quiet' }, `✓ ${say('resolved', { when: sayAgo(over) })}`) : drawLevel(level), !this.integration && link(names.get(integration) ?? say('integration'), open),
        h('small', {}, say('since', { when: sayAgo(raised) })), taken && h('small', {}, say('acknowledgedAt', { when: sayAgo(taken) })), gap(),
        !over && !taken && isMember && this.client.rpc && button('acknowledge', acknowledge, '', { 'aria-label': `${say('acknowledge')}: ${message}` })),
      h('p', {}, message))
  }
})

/** `<integration-messages>`: the last messages of an organization, an integration or a device, each failed one with its raw text and reason. */
define('integration-messages', class extends Element {
  failed = 'messagesFailed'
  onlyFailed = false

  prepare() { this.seconds = this.device || this.integration ? 5 : 3 }

  async read() {
    let query = this.query('device_messages', COLUMNS)
    if (this.onlyFailed) query = query.not('error', 'is', null)
    const [messages, isAdmin] = await Promise.all([rows(query.order('received_at', { ascending: false }).limit(this.device ? 20 : 50)), this.may('admin')])
    return { messages, isAdmin, names: this.device ? null : await this.readNames('devices', 'device_id', messages) }
  }

  render({ messages, isAdmin, names }) {
    const only = (event) => { this.onlyFailed = event.target.checked; this.refresh() }
    return [
      bar('h3', this.headline('lastMessages'), h('label', { class: 'row' }, h('input', { type: 'checkbox', change: only }), say('onlyFailed')),
        this.integration && isAdmin && messages.some((each) => each.error) && button('decodeAgain', () => this.decodeAgain())),
      messages.length ? table(['when', names && 'deviceWord', 'kind', 'payload'], messages.map((each) => drawMessage(each, names))) : note('empty', say(this.onlyFailed ? 'noneFailed' : 'noMessagesYet')),
    ]
  }

  /** All that failed, however many: each call takes the oldest 200. */
  decodeAgain() {
    return this.act(async () => {
      const sums = { stored: 0, failed: 0 }
      let cursor = null
      do {
        const { body } = await this.call('POST', `integrations/${this.integration}/messages/replay`, cursor ? { cursor } : {})
        sums.stored += body.stored + body.duplicates
        sums.failed += body.failed
        cursor = body.next_cursor
      } while (cursor)
      return sums
    }, (sums) => say('decodedAgain', sums))
  }
})

function drawMessage(each, names) {
  const text = each.payload == null ? each.raw ?? '' : JSON.stringify(each.payload)
  return row(each.id, when(each.received_at), names && head(names.get(each.device_id) ?? each.external_id ?? '–'), each.kind,
    wide(h('code', {}, text.length > CUT ? `${text.slice(0, CUT)} …` : text), each.raw_encoding && each.payload == null && h('small', {}, ` ${each.raw_encoding}`),
      each.error && note('wrong', each.error), each.remark && note('quiet', each.remark)))
}

/** `<integration-activity>`: what happened to an integration, or in an organization, newest first. */
define('integration-activity', class extends Element {
  tables = ['integration_activity']

  prepare() { Object.assign(this, { wanted: {}, kinds: new Set() }) }

  async read() {
    const { level, kind, from } = this.filters
    let query = this.query('integration_activity', 'id,kind,level,message,created_at,integration_id', { level, kind })
    if (from) query = query.gte('created_at', from)
    const activity = await rows(query.order('created_at', { ascending: false }).order('id', { ascending: false }).limit(50))
    activity.forEach((each) => this.kinds.add(each.kind))
    return { activity, names: this.integration ? null : await this.readNames('device_integrations', 'integration_id', activity) }
  }

  get filters() {
    const { level, kind, since } = this.wanted
    return { ...(level && { level }), ...(kind && { kind }), ...(since && { from: new Date(Date.now() - SINCE[since]).toISOString() }) }
  }

  render({ activity, names }) {
    const want = (name) => (value) => { this.wanted[name] = value; this.refresh() }
    return [
      bar('h3', this.headline('tab_activity'), choice(say('level'), say('allLevels'), LEVELS.map((level) => [level, say(`level_${level}`)]), want('level')),
        choice(say('kind'), say('allKinds'), [...this.kinds].toSorted().map((kind) => [kind, kind]), want('kind')), chooseSince(want('since')), this.integration && activity.length > 0 && button('asCsv', () => this.save())),
      activity.length ? table(['when', 'level', names && 'integration', 'whatHappened'], activity.map((each) => row(each.id, when(each.created_at), drawLevel(each.level),
        names && (names.get(each.integration_id) ?? '–'), wide(each.message, h('small', {}, ` ${each.kind}`))))) : empty('noActivity'),
    ]
  }

  /** As a file for a spreadsheet: up to 10,000 of what is asked for. */
  save() {
    return this.act(async () => {
      const { body } = await this.call('GET', `integrations/${this.integration}/activity.csv?${new URLSearchParams(this.filters)}`)
      const href = URL.createObjectURL(new Blob([body], { type: 'text/csv' }))
      h('a', { href, download: 'activity.csv' }).click()
      setTimeout(() => URL.revokeObjectURL(href), 60_000)
    })
  }
})
