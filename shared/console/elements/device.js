/** `<device-page device-id>`: one device: what it said, its values over time, what it was told, and what it is; `<device-state>`: what its platform keeps. */

import { Question } from './form.js'
import { Element, bar, button, define, drawDeviceStatus, h, head, note, number, readTypes, row, rows, say, sayAgo, sayTime, svg, table, when, wide } from './kit.js'
import { block, drawFacts, drawWork, json } from './more.js'

const POINTS = 200
const MOST_LINES = 6
const [WIDTH, HEIGHT] = [720, 140]
/** What networks say of how a message was heard, of what `metadata` keeps. */
const RADIO = ['rssi', 'snr', 'airtime_ms', 'packet_error_rate']

const describeCommand = () => ({
  required: ['name'],
  properties: {
    name: { type: 'string', title: say('command'), examples: ['reboot'] }, payload: { title: say('payload'), examples: [{ delay: 5 }] },
    expires_in_seconds: { type: 'integer', minimum: 1, default: 3600, title: say('expiresIn'), 'x-unit': say('seconds') },
  },
})

define('device-page', class extends Element {
  failed = 'deviceFailed'
  tables = ['devices']

  get filter() { return `id=eq.${this.device}` }

  prepare() { this.asking = null }

  async read() {
    const { client, device: id } = this
    const of = (name, columns) => client.from(name).select(columns).eq('device_id', id)
    const [found] = await rows(client.from('devices').select('*').eq('id', id))
    if (!found) return null
    if (!this.organization) this.setAttribute('organization-id', found.organization_id)
    const [messages, commands, updates, isMember, isAdmin, types, [integration]] = await Promise.all([
      rows(of('device_messages', `payload,observed_at,${RADIO.map((name) => `${name}:metadata->${name}`)}`).eq('kind', 'telemetry').is('error', null).order('received_at', { ascending: false }).limit(POINTS)),
      rows(of('device_commands', 'id,name,payload,status,attempts,error,result,created_at').order('created_at', { ascending: false }).limit(20)),
      rows(of('firmware_updates', 'id,package,from_version,to_version,state,message,at').order('id', { ascending: false }).limit(20)), this.may('member'), this.may('admin'), readTypes(client),
      found.integration_id ? rows(client.from('device_integrations').select('name,integration_type').eq('id', found.integration_id)) : []])
    const can = types.find(({ type }) => type === integration?.integration_type)?.capabilities ?? []
    return { found, messages, commands, updates, isMember, integration: integration?.name, keeps: isAdmin && can.includes('state'), sets: can.includes('settings') }
  }

  render(data) {
    if (!data) return note('empty', say('noSuchDevice'))
    const { found, messages, commands, updates, isMember, integration, keeps, sets } = data
    const drawValues = (name, lines) => lines.length > 0 && h('section', { class: 'block', 'aria-label': say(name) }, h('h3', {}, say(name)), h('div', { class: 'columns' }, lines.map(([path, points]) => drawLine(points, path))))
    const own = { 'organization-id': found.organization_id, 'device-id': found.id }
    return [
      h('div', { class: 'bar' }, h('h2', {}, found.name ?? found.external_id), drawDeviceStatus(found.status), h('span', { class: 'quiet' }, say('seenAt', { when: sayAgo(found.last_seen_at) }))),
      drawValues('values', listLines(messages, ({ payload }) => payload)),
      drawValues('radio', listLines(messages, (message) => Object.fromEntries(RADIO.map((name) => [name, message[name]])))),
      this.child('integration-messages', own), keeps && this.child('device-state', { ...own, 'integration-id': found.integration_id, settings: sets }),
      bar('h3', say('commands')), isMember && this.drawQuestion(),
      commands.length ? table(['when', 'command', 'status', 'outcome'], commands.map((each) => row(each.id, when(each.created_at), head(each.name, ' ', json(each.payload)), drawWork(each.status),
        wide(each.error ? h('span', { class: 'wrong' }, each.error) : each.result != null && json(each.result))))) : note('quiet', say('noCommands')),
      updates.length > 0 && [bar('h3', say('firmwareHistory')), table(['when', 'firmware', 'status'], updates.map((each) => row(`u${each.id}`, when(each.at), `${each.package} ${each.from_version ?? '?'} → ${each.to_version}`, [each.state, each.message].filter(Boolean).join(': '))))],
      h('div', { class: 'columns' }, block(say('whatItIs'), drawFacts([[say('identifier'), found.external_id], [say('integration'), integration], [say('type'), found.device_type], [say('firmware'), found.firmware_version], [say('made'), sayAgo(found.created_at)]])),
        block(say('metadata'), h('pre', { tabindex: '0', 'aria-label': say('metadata') }, JSON.stringify(found.metadata, null, 2)))),
    ]
  }

  drawQuestion() {
    this.asking ??= new Question(describeCommand(), () => this.send(), h('button', { class: 'primary' }, say('sendCommand')))
    return this.asking.element
  }

  send() {
    return this.act(async () => {
      await this.asking.put((typed) => this.call('POST', 'commands', { device_id: this.device, name: '', ...typed }))
      this.asking = null
    }, say('commandSent'))
  }
})

define('device-state', class extends Element {
  seconds = 3600 // Each look asks the platform, so it is for somebody to ask again.
  failed = 'stateFailed'

  async read() {
    const path = `integrations/${this.integration}`
    const [state, settings] = await Promise.all([this.call('GET', `${path}/devices/${this.device}/state`), this.hasAttribute('settings') && this.call('GET', `${path}/settings?device_id=${this.device}`)])
    return { state: state.body, settings: settings ? settings.body.settings : [] }
  }

  render({ state, settings }) {
    return [
      bar('h3', say('state'), button('readAgain', () => this.refresh())),
      h('pre', { tabindex: '0', 'aria-label': say('state') }, JSON.stringify('state' in state ? state.state : state, null, 2)),
      settings.length > 0 && table(['name', 'value'], settings.map((each) => row(null, head(each.key ?? each.name), wide(json(each.value))))),
    ]
  }
})

/** The numbers in what is read of each message, by their path: `[[path, [{at, value}]]]`, the oldest first. */
function listLines(messages, read) {
  const lines = new Map()
  const add = (path, value, at) => {
    if (Number.isFinite(value)) (lines.get(path) ?? lines.set(path, []).get(path)).push({ at, value })
    else if (value && typeof value === 'object' && !Array.isArray(value)) Object.entries(value).forEach(([name, inner]) => add(path ? `${path}.${name}` : name, inner, at))
  }
  messages.toSorted((one, other) => Date.parse(one.observed_at) - Date.parse(other.observed_at)).forEach((message) => add('', read(message), Date.parse(message.observed_at)))
  return [...lines].filter(([, points]) => points.length > 1).slice(0, MOST_LINES).map(([path, points]) => [path || say('value'), points])
}

/** A line for one value over time, and the newest of its points as a table. */
function drawLine(points, title) {
  const values = points.map(({ value }) => value)
  const [least, most, from, to] = [Math.min(...values), Math.max(...values), points[0].at, points.at(-1).at]
  const place = ({ at, value }) => `${(((at - from) / (to - from || 1)) * WIDTH).toFixed(1)},${(HEIGHT - 8 - ((value / 2 - least / 2) / (most / 2 - least / 2 || 1)) * (HEIGHT - 16)).toFixed(1)}`
  const range = say('valueRange', { least, most, last: values.at(-1) })
  const newest = points.slice(-50).toReversed().map(({ at, value }) => row(at, head(sayTime(at)), number(value)))
  return h('figure', { class: 'block', 'data-key': `line-${title}` },
    h('figcaption', {}, title), note('quiet', `${range} · ${say('since', { when: sayAgo(new Date(from).toISOString()) })}`),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `${title}: ${range}`, preserveAspectRatio: 'none' }, svg('polyline', { class: 'line', points: points.map(place).join(' ') })),
    h('details', {}, h('summary', {}, say('asTable')), h('div', { class: 'keep' }, table(['when', 'value'], newest))))
}
