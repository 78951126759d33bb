/** `<device-page device-id>`: one device: what it said, its values over time, what it was told, and what it is. */

import { call, readTypes, rows } from './api.js'
import { h } from './dom.js'
import { drawLine } from './drawing.js'
import { Element } from './element.js'
import { drawFacts } from './facts.js'
import { Field } from './field.js'
import { drawDeviceStatus, drawWork } from './health.js'
import { say, sayAgo } from './language.js'
import { define } from './load.js'
import { bar, json, table } from './parts.js'

const POINTS = 200
const MOST_LINES = 6
/** What networks say of how a message was heard, of what `metadata` keeps. */
const RADIO = ['rssi', 'snr', 'airtime_ms', 'packet_error_rate']

export class DevicePage extends Element {
  failed = 'deviceFailed'

  get freshness() { return { tables: ['devices'], filter: `id=eq.${this.device}` } }

  prepare() { Object.assign(this, { fields: null }) }

  async read() {
    const { client, device: id } = this
    const [found] = await rows(client.from('devices').select('*').eq('id', id))
    if (!found) return null
    if (!this.organization) this.setAttribute('organization-id', found.organization_id)
    const [messages, commands, updates, isMember] = await Promise.all([
      rows(client.from('device_messages').select(`payload,observed_at,${RADIO.map((name) => `${name}:metadata->${name}`)}`).eq('device_id', id).eq('kind', 'telemetry').is('error', null).order('received_at', { ascending: false }).limit(POINTS)),
      rows(client.from('device_commands').select('id,name,payload,status,attempts,error,result,created_at').eq('device_id', id).order('created_at', { ascending: false }).limit(20)),
      rows(client.from('firmware_updates').select('id,package,from_version,to_version,state,message,at').eq('device_id', id).order('id', { ascending: false }).limit(20)), this.may('member')])
    const [integration] = found.integration_id ? await rows(client.from('device_integrations').select('name,integration_type').eq('id', found.integration_id)) : []
    const [types, isAdmin] = await Promise.all([readTypes(client), this.may('admin')])
    const can = types.find(({ type }) => type === integration?.integration_type)?.capabilities ?? []
    return { found, messages, commands, updates, isMember, integration: integration?.name, keeps: isAdmin && can.includes('state'), sets: can.includes('settings') }
  }

  render(data) {
    if (!data) return h('p', { class: 'empty' }, say('noSuchDevice'))
    const { found, messages, commands, updates, isMember, integration, keeps, sets } = data
    const drawValues = (name, lines) => lines.length > 0 && h('section', { class: 'block', 'aria-label': say(name) }, h('h3', {}, say(name)), h('div', { class: 'columns' }, lines.map(([path, points]) => drawLine(points, path))))
    return [
      h('div', { class: 'bar' }, h('h2', {}, found.name ?? found.external_id), drawDeviceStatus(found.status), h('span', { class: 'quiet' }, say('seenAt', { when: sayAgo(found.last_seen_at) }))),
      drawValues('values', listLines(messages, ({ payload }) => payload)),
      drawValues('radio', listLines(messages, (message) => Object.fromEntries(RADIO.map((name) => [name, message[name]])))),
      h('integration-messages', { client: this.given, 'organization-id': found.organization_id, 'device-id': found.id }),
      keeps && h('device-state', { client: this.given, 'organization-id': found.organization_id, 'integration-id': found.integration_id, 'device-id': found.id, settings: sets }),
      bar('h3', say('commands')), isMember && this.drawForm(),
      commands.length ? table(['when', 'command', 'status', 'outcome'], commands.map(drawCommand)) : h('p', { class: 'quiet' }, say('noCommands')),
      updates.length > 0 && [bar('h3', say('firmwareHistory')), table(['when', 'firmware', 'status'], updates.map((each) => h('tr', { 'data-key': `u${each.id}` }, h('td', {}, sayAgo(each.at)), h('td', {}, `${each.package} ${each.from_version ?? '?'} → ${each.to_version}`), h('td', {}, [each.state, each.message].filter(Boolean).join(': ')))))],
      h('div', { class: 'columns' }, h('section', { class: 'block' }, h('h3', {}, say('whatItIs')), drawFacts([[say('identifier'), found.external_id], [say('integration'), integration], [say('type'), found.device_type], [say('firmware'), found.firmware_version], [say('made'), sayAgo(found.created_at)]])),
        h('section', { class: 'block' }, h('h3', {}, say('metadata')), h('pre', { tabindex: '0', 'aria-label': say('metadata') }, JSON.stringify(found.metadata, null, 2)))),
    ]
  }

  /** Kept over redraws: what is being typed stays. */
  drawForm() {
    if (this.fields) return this.form
    const make = (name, more) => new Field({ name, core: {}, labels: {}, ...more })
    this.fields = [make('name', { title: say('command'), kind: 'text', required: true, example: 'reboot' }), make('payload', { title: say('payload'), kind: 'json', example: { delay: 5 } }),
      make('expires_in_seconds', { title: say('expiresIn'), kind: 'number', unit: say('seconds'), fallback: 3600, minimum: 1 })]
    this.form = h('form', { class: 'fields', novalidate: true, 'data-key': 'send', submit: (event) => { event.preventDefault(); this.send() } }, this.fields.map((field) => field.element), h('div', { class: 'bar' }, h('button', { class: 'primary' }, say('sendCommand'))))
    return this.form
  }

  send() {
    return this.act(async () => {
      const body = Object.fromEntries(this.fields.map((field) => [field.field.name, field.read()]).filter(([, value]) => value !== undefined))
      this.fields.forEach((field) => field.show(null))
      try {
        await call(this.client, 'POST', 'commands', { device_id: this.device, name: '', ...body })
      } catch (problem) {
        this.fields.forEach((field) => field.show(problem.document?.errors.find((error) => error.field.split('.')[0] === field.field.name)?.message))
        throw problem
      }
      this.fields = null
    }, say('commandSent'))
  }
}

function drawCommand(each) {
  return h('tr', { 'data-key': each.id }, h('td', {}, sayAgo(each.created_at)), h('th', { scope: 'row' }, each.name, ' ', json(each.payload)), h('td', {}, drawWork(each.status)),
    h('td', { class: 'wide' }, each.error ? h('span', { class: 'wrong' }, each.error) : each.result == null ? '' : json(each.result)))
}

/** The numbers in what is read of each message, by their path: `[[path, [{at, value}]]]`. */
function listLines(messages, read) {
  const lines = new Map()
  const add = (path, value, at) => {
    if (Number.isFinite(value)) {
      if (!lines.has(path)) lines.set(path, [])
      lines.get(path).push({ at, value })
    } else if (value && typeof value === 'object' && !Array.isArray(value)) Object.entries(value).forEach(([name, inner]) => add(path ? `${path}.${name}` : name, inner, at))
  }
  messages.toSorted((one, other) => Date.parse(one.observed_at) - Date.parse(other.observed_at)).forEach((message) => add('', read(message), Date.parse(message.observed_at)))
  return [...lines].filter(([, points]) => points.length > 1).slice(0, MOST_LINES).map(([path, points]) => [path || say('value'), points])
}

define('device-page', DevicePage)
