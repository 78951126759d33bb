/** `<integration-messages>`: the last messages of an organization, an integration or a device, each failed one with its raw text and reason. */

import { call, readNames, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say, sayAgo } from './language.js'
import { define } from './load.js'
import { button, table } from './parts.js'

const COLUMNS = 'id,external_id,kind,topic,payload,raw,raw_encoding,error,remark,received_at,device_id'
const CUT = 400

export class Messages extends Element {
  failed = 'messagesFailed'

  get freshness() { return { seconds: this.device || this.integration ? 5 : 3 } }

  prepare() { this.onlyFailed = false }

  async read() {
    let query = this.client.from('device_messages').select(COLUMNS).eq('organization_id', this.organization)
    if (this.integration) query = query.eq('integration_id', this.integration)
    if (this.device) query = query.eq('device_id', this.device)
    if (this.onlyFailed) query = query.not('error', 'is', null)
    const [messages, isAdmin] = await Promise.all([rows(query.order('received_at', { ascending: false }).limit(this.device ? 20 : 50)), this.may('admin')])
    const names = this.device ? null : await readNames(this.client, 'devices', messages.map((each) => each.device_id))
    return { messages, isAdmin, names }
  }

  render({ messages, isAdmin, names }) {
    const only = (event) => { this.onlyFailed = event.target.checked; this.refresh() }
    const canReplay = this.integration && isAdmin && messages.some((each) => each.error)
    return [
      h('div', { class: 'bar' }, h('h3', {}, this.getAttribute('heading') ?? say('lastMessages')), h('span', { class: 'gap' }), h('label', { class: 'row' }, h('input', { type: 'checkbox', change: only }), say('onlyFailed')),
        canReplay && button('decodeAgain', () => this.decodeAgain())),
      messages.length ? drawTable(messages, names) : h('p', { class: 'empty' }, say(this.onlyFailed ? 'noneFailed' : 'noMessagesYet')),
    ]
  }

  /** All that failed, however many: each call takes the oldest 200. */
  decodeAgain() {
    return this.act(async () => {
      const sums = { stored: 0, failed: 0 }
      for (let cursor = null; ;) {
        const { body } = await call(this.client, 'POST', `integrations/${this.integration}/messages/replay`, cursor ? { cursor } : {})
        sums.stored += body.stored + body.duplicates
        sums.failed += body.failed
        cursor = body.next_cursor
        if (!cursor) return sums
      }
    }, (sums) => say('decodedAgain', sums))
  }
}

function drawTable(messages, names) {
  return table(['when', ...(names ? ['deviceWord'] : []), 'kind', 'payload'], messages.map((each) => drawRow(each, names)))
}

function drawRow(each, names) {
  const text = each.payload == null ? each.raw ?? '' : JSON.stringify(each.payload)
  return h('tr', { 'data-key': each.id },
    h('td', {}, sayAgo(each.received_at)), names && h('th', { scope: 'row' }, names.get(each.device_id) ?? each.external_id ?? '–'), h('td', {}, each.kind),
    h('td', { class: 'wide' }, h('code', {}, text.length > CUT ? `${text.slice(0, CUT)} …` : text), each.raw_encoding && each.payload == null && h('small', {}, ` ${each.raw_encoding}`),
      each.error && h('p', { class: 'wrong' }, each.error), each.remark && h('p', { class: 'quiet' }, each.remark)))
}

define('integration-messages', Messages)
