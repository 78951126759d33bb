/** `<first-message integration-id>`: what to do so that something comes, and each step on the way as it happens. */

import { call, readNames, readTypes, rows, stream } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawScheduler } from './health.js'
import { say, sayNumber } from './language.js'
import { define } from './load.js'
import { button } from './parts.js'
import { writeCommand } from './recipe.js'
import { drawStep } from './trial.js'

const PATIENCE_SECONDS = 120

export class FirstMessage extends Element {
  freshness = { seconds: 2 }

  prepare() { Object.assign(this, { begun: Date.now(), steps: null }) }

  async read() {
    const { client, integration: id, organization } = this
    const [{ body }, list, types, messages, activity] = await Promise.all([
      call(client, 'GET', `integrations/${id}`), call(client, 'GET', `integrations?organization_id=${organization}&limit=1`), readTypes(client),
      rows(client.from('device_messages').select('external_id,device_id,payload,raw,error,received_at').eq('organization_id', organization).eq('integration_id', id).order('received_at', { ascending: false }).limit(1)),
      rows(client.from('integration_activity').select('level,message').eq('integration_id', id).order('id', { ascending: false }).limit(20)),
    ])
    const [row] = await rows(client.from('device_integrations').select('last_session').eq('id', id))
    const { integration } = body
    const kind = types.find((each) => each.type === integration.integration_type)
    return { integration, can: (name) => kind?.capabilities.includes(name), session: row?.last_session, message: messages[0], name: (await readNames(client, 'devices', messages.map((each) => each.device_id))).get(messages[0]?.device_id), warning: activity.find((each) => each.level !== 'info')?.message, scheduler: list.body.scheduler }
  }

  render(data) {
    const { integration, can, message } = data
    const title = message ? say('firstCame') : can('session') || can('parse') ? say('firstWaiting') : say('firstSend')
    return h('section', { class: 'summary good-news', 'aria-label': title },
      h('div', { class: 'row' }, h('h3', { 'aria-live': 'polite' }, title), h('span', { class: 'gap' }), h('button', { type: 'button', class: 'quiet', click: () => this.tell('di-closed') }, say('close'))),
      !message && this.drawRecipe(integration, can), can('deliver') || can('publish') ? this.drawSending(can) : this.drawTicks(data))
  }

  drawRecipe(integration, can) {
    const line = writeCommand(integration, can, this.client)
    if (!line) return null
    const copy = (event) => navigator.clipboard?.writeText(line).then(() => { event.target.textContent = say('copied') }, () => {})
    return [h('p', {}, say(can('session') ? 'publishThis' : 'postThis')), h('div', { class: 'control' }, h('pre', { tabindex: '0', 'aria-label': say('command') }, line), button('copy', copy))]
  }

  drawTicks({ integration, can, session, message, name, warning, scheduler }) {
    const hasLooked = Boolean(message || session || integration.sync_status || integration.error_message || scheduler?.last_seen_at > integration.created_at)
    const isLate = !hasLooked && !message && Date.now() - this.begun > PATIENCE_SECONDS * 1000
    // What may be pushed is polled only where something says so.
    const ticks = can('session') && (session || integration.sync_status || !can('parse')) ? [
      [hasLooked, say('tickLooked')],
      [Boolean(message) || session?.connect_ms != null || integration.sync_status === 'ok', session?.connect_ms == null ? say('tickConnected') : say('tickConnectedIn', { ms: Math.round(session.connect_ms) })],
      integration.config.topics && [Boolean(message) || (integration.sync_status === 'ok' && !integration.error_message), say('tickGranted')],
    ].filter(Boolean) : []
    const reason = integration.error_message ?? warning
    return [
      h('ul', { class: 'plain' }, [...ticks, [Boolean(message), message ? say('tickMessage', { device: name ?? message.external_id ?? '?' }) : say('tickNoMessage')]].map(([isDone, text]) =>
        h('li', { class: isDone ? 'is-good' : 'quiet' }, isDone ? '✓ ' : '… ', text))),
      message && h('pre', { tabindex: '0' }, message.error ? `${message.raw ?? ''}\n${message.error}` : JSON.stringify(message.payload)),
      !message && reason && h('p', { class: 'wrong' }, reason),
      isLate && h('p', { class: 'wrong' }, say('nobodyLooked')), !message && !isLate && scheduler && drawScheduler(scheduler),
    ]
  }

  drawSending() {
    const send = async () => {
      this.steps = []
      await this.act(async () => { for await (const step of stream(this.client, `integrations/${this.integration}/test`)) { this.steps.push(step); this.redraw() } })
    }
    return [h('p', {}, say('firstSendWhat')), button('sendTest', send, 'primary'), this.steps && h('div', { class: 'steps' }, h('ol', {}, this.steps.map(drawStep)),
      h('p', { role: 'status' }, this.steps.length ? say('stepsDone', { count: sayNumber(this.steps.length) }) : say('testing', { seconds: 0 })))]
  }
}

define('first-message', FirstMessage)
