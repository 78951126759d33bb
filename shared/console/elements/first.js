/** `<first-message integration-id>`: what to do so that something comes, and each step on the way as it happens. */

import { Element, button, define, drawScheduler, gap, h, note, readTypes, rows, say } from './kit.js'
import './more.js'
import { drawStep, stream } from './trial.js'

const PATIENCE_SECONDS = 120

define('first-message', class extends Element {
  seconds = 2

  prepare() { Object.assign(this, { begun: Date.now(), steps: null }) }

  async read() {
    const { client, integration: id, organization } = this
    const [{ body: { integration } }, { body: { scheduler } }, types, [message], activity, [kept]] = await Promise.all([
      this.call('GET', `integrations/${id}`), this.call('GET', `integrations?organization_id=${organization}&limit=1`), readTypes(client),
      rows(this.query('device_messages', 'external_id,device_id,payload,raw,error,received_at').order('received_at', { ascending: false }).limit(1)),
      rows(this.query('integration_activity', 'level,message').order('id', { ascending: false }).limit(20)), rows(client.from('device_integrations').select('last_session').eq('id', id)),
    ])
    const kind = types.find((each) => each.type === integration.integration_type)
    const names = await this.readNames('devices', 'device_id', [message ?? {}])
    return { integration, can: (name) => kind?.capabilities.includes(name), session: kept?.last_session, message, name: names.get(message?.device_id), warning: activity.find((each) => each.level !== 'info')?.message, scheduler }
  }

  render(data) {
    const { integration, can, message } = data
    const title = message ? say('firstCame') : can('session') || can('parse') ? say('firstWaiting') : say('firstSend')
    return h('section', { class: 'summary good-news', 'aria-label': title },
      h('div', { class: 'row' }, h('h3', { 'aria-live': 'polite' }, title), gap(), button('close', () => this.tell('di-closed'), 'quiet')),
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
      !message && reason && note('wrong', reason),
      isLate && note('wrong', say('nobodyLooked')), !message && !isLate && scheduler && drawScheduler(scheduler),
    ]
  }

  drawSending() {
    const send = async () => {
      this.steps = []
      await this.act(async () => { for await (const step of stream(this.client, `integrations/${this.integration}/test`)) { this.steps.push(step); this.redraw() } })
    }
    return [h('p', {}, say('firstSendWhat')), button('sendTest', send, 'primary'), this.steps && h('div', { class: 'steps' }, h('ol', {}, this.steps.map(drawStep)),
      h('p', { role: 'status' }, this.steps.length ? say('stepsDone', { count: this.steps.length }) : say('testing', { seconds: 0 })))]
  }
})

const EXAMPLE = `'{"temperature": 21}'`

/** The line to copy that sends a first message: for a broker a publish, for what is pushed to us a request; null where only the other side can send. */
function writeCommand(integration, can, client) {
  const { config, id, secrets } = integration
  if (can('session') && config.broker_url) return writePublish(config)
  if (!can('parse') || (config.poll_url && !secrets.includes('webhook_secret'))) return null
  const base = String(client.functions?.url ?? client.functionsUrl ?? '/functions/v1').replace(/\/$/, '')
  const header = config.webhook_secret_header ?? 'X-Webhook-Secret'
  return `curl '${base}/receive/${id}' -H '${header}: …' -H 'Content-Type: application/json' -d ${EXAMPLE}`
}

function writePublish({ broker_url: address, port, username, topics }) {
  if (!URL.canParse(address)) return null
  const url = new URL(address)
  const isPlain = ['mqtt:', 'tcp:'].includes(url.protocol)
  if (!isPlain && url.protocol !== 'mqtts:') return null
  const parts = ['mosquitto_pub', '-h', quote(url.hostname), '-p', port || url.port || (isPlain ? 1883 : 8883)]
  if (!isPlain) parts.push('--tls-use-os-certs')
  if (username) parts.push('-u', quote(username), '-P', "'…'")
  return [...parts, '-t', quote(fillTopic([topics].flat()[0])), '-m', EXAMPLE].join(' ')
}

/** A topic that the filter lets through. */
const fillTopic = (filter = '#') => filter.replace(/^\$share\/[^/]+\//, '').replace(/^#$/, 'devices/demo/telemetry').replace(/\+/g, 'demo').replace(/#$/, 'telemetry')

const quote = (text) => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
