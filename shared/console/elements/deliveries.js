/** `<webhook-deliveries integration-id>`: what went out, what did not and why; sends it again. */

import { call } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawDeliveryStatus } from './health.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define } from './load.js'
import { SINCE, bar, button, choice, empty, sinceChoices, table } from './parts.js'

const STATES = ['pending', 'delivering', 'delivered', 'dead', 'cancelled']

export class Deliveries extends Element {
  failed = 'deliveriesFailed'

  prepare() { Object.assign(this, { path: `integrations/${this.integration}/deliveries`, opened: null, cursors: [''], status: '', since: '' }) }

  async read() {
    const query = new URLSearchParams({ limit: 25, ...(this.status && { status: this.status }), ...(this.cursors.at(-1) && { cursor: this.cursors.at(-1) }) })
    const [{ body }, details, isAdmin] = await Promise.all([call(this.client, 'GET', `${this.path}?${query}`), this.opened && call(this.client, 'GET', `${this.path}/${this.opened}`), this.may('admin')])
    return { ...body, details: details?.body.delivery, isAdmin }
  }

  render({ deliveries, next_cursor: next, details, isAdmin }) {
    const filter = (event) => { Object.assign(this, { status: event.target.value, cursors: [''] }); this.refresh() }
    const turn = (change) => () => { change(); this.refresh() }
    return [
      bar('h3', say('deliveries'), h('select', { 'aria-label': say('status'), change: filter }, h('option', { value: '' }, say('allStates')), STATES.map((state) => h('option', { value: state }, say(`delivery_${state}`)))),
        isAdmin && this.drawRange()),
      deliveries.length ? this.drawTable(deliveries, details, isAdmin) : this.status ? empty('nothingMatches') : empty('noDeliveries', 'noDeliveriesWhy'),
      h('div', { class: 'bar' }, this.cursors.length > 1 && button('newer', turn(() => this.cursors.pop())), next && button('older', turn(() => this.cursors.push(next)))),
    ]
  }

  drawRange() {
    return [choice(say('range'), sinceChoices(), (since) => { this.since = since }),
      button('replayDead', () => this.replayAll()), button('cancelWaiting', () => this.cancelAll())]
  }

  drawTable(deliveries, details, isAdmin) {
    return table(['when', 'event', 'status', 'attempts', ...(isAdmin ? ['action'] : [])], deliveries.map((each) => [this.drawRow(each, isAdmin), each.id === this.opened && details && drawAttempts(details)]))
  }

  drawRow(each, isAdmin) {
    const isOpen = each.id === this.opened
    const toggle = () => { this.opened = isOpen ? null : each.id; this.refresh() }
    const waits = each.status === 'pending' && Date.parse(each.due_at) > Date.now() && h('small', {}, ` ${say('nextTry', { when: sayAgo(each.due_at) })}`)
    const again = each.status !== 'delivering' && h('button', { type: 'button', class: 'quiet', 'aria-label': `${say('replay')}: ${each.event_type}, ${sayAgo(each.created_at)}`, click: () => this.replay(each) }, say('replay'))
    return h('tr', { 'data-key': each.id }, h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', 'aria-expanded': String(isOpen), click: toggle }, sayAgo(each.created_at))), h('td', {}, each.event_type),
      h('td', {}, drawDeliveryStatus(each.status), waits), h('td', { class: 'number' }, h('span', { class: 'away' }, `${say('attempts')} `), sayNumber(each.attempts)), isAdmin && h('td', {}, again))
  }

  get range() { return this.since ? { from: new Date(Date.now() - SINCE[this.since]).toISOString() } : {} }

  replay(each) { return this.act(() => call(this.client, 'POST', `${this.path}/${each.id}/replay`), say('replayed', { count: 1 })) }

  /** All that are dead, however many: each call takes the oldest 10,000. */
  replayAll() {
    return this.act(async () => {
      let [count, since, left] = [0, undefined, 1]
      const range = this.range
      while (left) {
        const { body } = await call(this.client, 'POST', `${this.path}/replay`, { status: 'dead', ...range, ...(since && { not_replayed_since: since }) })
        ;[count, since, left] = [count + body.replayed, since ?? body.replayed_at, body.left]
        this.message = { text: say('replayed', { count }) }
        this.redraw()
      }
      return count
    }, (count) => say('replayed', { count }))
  }

  cancelAll() {
    return this.act(async () => {
      let [count, more] = [0, true]
      while (more) {
        const { body } = await call(this.client, 'POST', `${this.path}/cancel`, this.range)
        ;[count, more] = [count + body.cancelled, body.more]
      }
      return count
    }, (count) => say('cancelledCount', { count }))
  }
}

function drawAttempts({ id, attempts_log: attempts }) {
  const items = attempts.map((each) => {
    const isBad = each.error || !each.status_code || each.status_code > 299
    return h('li', {}, h('b', { class: isBad ? 'is-bad' : 'is-good' }, isBad ? '✗ ' : '✓ ', each.status_code ? `HTTP ${each.status_code}` : say('noAnswer')), h('span', {}, [each.error, each.reply].filter(Boolean).join('\n'), each.request && drawRequest(each)), h('small', {}, `${sayAgo(each.started_at)} · ${sayNumber(each.milliseconds)} ms`))
  })
  return h('tr', { 'data-key': `attempts-${id}` }, h('td', { colspan: 5, class: 'steps' }, items.length ? h('ol', {}, items) : say('noAttempts'), h('small', {}, say('sameId', { id }))))
}

/** What was sent, secrets masked; kept of failed attempts and of the last that succeeded. */
function drawRequest({ id, request: { method, url, headers, body, body_bytes: size } }) {
  const lines = [`${method} ${url}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', body]
  return h('details', { 'data-key': `sent-${id}` }, h('summary', {}, say('whatWasSent', { count: size })), h('pre', { tabindex: '0', 'aria-label': say('whatWasSent', { count: size }) }, lines.join('\n')))
}

define('webhook-deliveries', Deliveries)
