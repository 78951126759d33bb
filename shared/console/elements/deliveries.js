/** `<webhook-deliveries integration-id>`: what went out, what did not and why; sends it again. */

import { Element, SINCE, bar, button, choice, chooseSince, define, drawDeliveryStatus, empty, h, head, row, say, sayAgo, sayNumber, table } from './kit.js'
import { drawToggle } from './more.js'

const STATES = ['pending', 'delivering', 'delivered', 'dead', 'cancelled']

define('webhook-deliveries', class extends Element {
  failed = 'deliveriesFailed'

  prepare() { Object.assign(this, { path: `integrations/${this.integration}/deliveries`, opened: null, cursors: [''], status: '', since: '' }) }

  async read() {
    const cursor = this.cursors.at(-1)
    const query = new URLSearchParams({ limit: 25, ...(this.status && { status: this.status }), ...(cursor && { cursor }) })
    const [{ body }, details, isAdmin] = await Promise.all([this.call('GET', `${this.path}?${query}`), this.opened && this.call('GET', `${this.path}/${this.opened}`), this.may('admin')])
    return { ...body, details: details?.body.delivery, isAdmin }
  }

  render({ deliveries, next_cursor: next, details, isAdmin }) {
    const filter = (status) => { Object.assign(this, { status, cursors: [''] }); this.refresh() }
    const turn = (change) => () => { change(); this.refresh() }
    return [
      bar('h3', say('deliveries'), choice(say('status'), say('allStates'), STATES.map((state) => [state, say(`delivery_${state}`)]), filter),
        isAdmin && [chooseSince((since) => { this.since = since }), button('replayDead', () => this.replayAll()), button('cancelWaiting', () => this.cancelAll())]),
      deliveries.length ? table(['when', 'event', 'status', 'attempts', isAdmin && 'action'], deliveries.map((each) => [this.drawOne(each, isAdmin), each.id === this.opened && details && drawAttempts(details)]))
        : this.status ? empty('nothingMatches') : empty('noDeliveries', 'noDeliveriesWhy'),
      h('div', { class: 'bar' }, this.cursors.length > 1 && button('newer', turn(() => this.cursors.pop())), next && button('older', turn(() => this.cursors.push(next)))),
    ]
  }

  drawOne(each, isAdmin) {
    const waits = each.status === 'pending' && Date.parse(each.due_at) > Date.now() && h('small', {}, ` ${say('nextTry', { when: sayAgo(each.due_at) })}`)
    const again = () => this.act(() => this.call('POST', `${this.path}/${each.id}/replay`), say('replayed', { count: 1 }))
    return row(each.id, head(drawToggle(this, each.id, sayAgo(each.created_at))), each.event_type, [drawDeliveryStatus(each.status), waits],
      h('td', { class: 'number' }, h('span', { class: 'away' }, `${say('attempts')} `), sayNumber(each.attempts)),
      isAdmin && [each.status !== 'delivering' && button('replay', again, 'quiet', { 'aria-label': `${say('replay')}: ${each.event_type}, ${sayAgo(each.created_at)}` })])
  }

  get range() { return this.since ? { from: new Date(Date.now() - SINCE[this.since]).toISOString() } : {} }

  /** All that are dead, however many: each call takes the oldest 10,000. */
  replayAll() {
    return this.act(async () => {
      let [count, since, left] = [0, undefined, 1]
      const range = this.range
      while (left) {
        const { body } = await this.call('POST', `${this.path}/replay`, { status: 'dead', ...range, ...(since && { not_replayed_since: since }) })
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
        const { body } = await this.call('POST', `${this.path}/cancel`, this.range)
        ;[count, more] = [count + body.cancelled, body.more]
      }
      return count
    }, (count) => say('cancelledCount', { count }))
  }
})

function drawAttempts({ id, attempts_log: attempts }) {
  const items = attempts.map((each) => {
    const isBad = each.error || !each.status_code || each.status_code > 299
    return h('li', {}, h('b', { class: isBad ? 'is-bad' : 'is-good' }, isBad ? '✗ ' : '✓ ', each.status_code ? `HTTP ${each.status_code}` : say('noAnswer')),
      h('span', {}, [each.error, each.reply].filter(Boolean).join('\n'), each.request && drawRequest(each)), h('small', {}, `${sayAgo(each.started_at)} · ${sayNumber(each.milliseconds)} ms`))
  })
  return row(`attempts-${id}`, h('td', { colspan: 5, class: 'steps' }, items.length ? h('ol', {}, items) : say('noAttempts'), h('small', {}, say('sameId', { id }))))
}

/** What was sent, secrets masked; kept of failed attempts and of the last that succeeded. */
function drawRequest({ id, request: { method, url, headers, body, body_bytes: count } }) {
  const lines = [`${method} ${url}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), '', body]
  return h('details', { 'data-key': `sent-${id}` }, h('summary', {}, say('whatWasSent', { count })), h('pre', { tabindex: '0', 'aria-label': say('whatWasSent', { count }) }, lines.join('\n')))
}
