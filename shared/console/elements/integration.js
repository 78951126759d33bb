/** `<integration-overview integration-id>`: one integration; a tab for each thing that its type can do. */

import { Element, button, define, drawHealth, gap, h, mayLeave, note, readTypes, rows, say, sayAgo, sayNumber } from './kit.js'
import { block, drawFacts } from './more.js'
import { readForm, readLists } from './schema.js'

/** What each tab shows, and the capabilities of which one is needed; none: always there. */
const TABS = {
  overview: ['integration-facts', []],
  messages: ['integration-messages', ['session', 'parse']],
  deliveries: ['webhook-deliveries', ['deliver', 'publish']],
  devices: ['device-list', ['session', 'parse', 'devices']],
  sync: ['device-sync', ['devices']],
  firmware: ['firmware-rollouts', ['firmware']],
  activity: ['integration-activity', []],
}

define('integration-overview', class extends Element {
  tables = ['device_integrations']
  tab = 'overview'

  get filter() { return `id=eq.${this.integration}` }

  async read() {
    const { body: { integration } } = await this.call('GET', `integrations/${this.integration}`)
    if (!this.organization) this.setAttribute('organization-id', integration.organization_id)
    const [types, isAdmin] = await Promise.all([readTypes(this.client), this.may('admin')])
    return { integration, isAdmin, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration: { name, integration_type: type, status, health }, isAdmin, kind }) {
    const can = (each) => kind?.capabilities.includes(each)
    const tabs = Object.keys(TABS).filter((tab) => !TABS[tab][1].length || TABS[tab][1].some(can))
    const shown = tabs.includes(this.tab) ? this.tab : 'overview'
    return [
      h('div', { class: 'bar' }, h('h2', {}, name), h('span', { class: 'quiet' }, kind?.label ?? type), drawHealth(health.state), gap(), isAdmin && this.drawActions(status !== 'inactive')),
      health.state !== 'healthy' && note(health.state === 'failing' ? 'wrong' : 'quiet', health.reason),
      h('div', { role: 'tablist', 'aria-label': name, keydown: (event) => this.move(event, tabs, shown) }, tabs.map((tab) => this.drawTab(tab, shown))),
      h('div', { role: 'tabpanel', id: 'panel', 'aria-labelledby': `tab-${shown}`, 'data-key': `panel-${shown}` }, this.child(TABS[shown][0])),
    ]
  }

  drawActions(isOn) {
    const turn = () => this.act(() => this.call('PATCH', `integrations/${this.integration}`, { status: isOn ? 'inactive' : 'active' }), say(isOn ? 'wasSwitchedOff' : 'wasSwitchedOn'))
    return [button(isOn ? 'switchOff' : 'switchOn', turn), button('editAndTest', () => this.edit(), 'primary')]
  }

  drawTab(tab, shown) {
    const isShown = tab === shown
    return h('button', { type: 'button', role: 'tab', id: `tab-${tab}`, 'aria-selected': String(isShown), 'aria-controls': 'panel', tabindex: isShown ? '0' : '-1', click: () => !isShown && this.choose(tab) }, say(`tab_${tab}`))
  }

  choose(name) {
    if (!mayLeave()) return
    this.tab = name
    this.tell('di-tab', { name })
    this.redraw()
  }

  move(event, tabs, shown) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    this.choose(tabs[(tabs.indexOf(shown) + step + tabs.length) % tabs.length])
    this.shadowRoot.querySelector('[role=tab][aria-selected=true]').focus()
  }

  async edit() {
    const dialog = await this.openDialog('device-integration-dialog', { 'di-saved': () => this.refresh() })
    await dialog?.open({ id: this.integration })
  }
})

const GRACES = [3600, 86_400, 604_800]

/** `<integration-facts>`: how it fares, its last session, its config without secrets, their rotation. */
define('integration-facts', class extends Element {
  async read() {
    const { client, integration: id } = this
    const [{ body: { integration } }, types, sessions, isAdmin, lists] = await Promise.all([this.call('GET', `integrations/${id}`), readTypes(client),
      rows(client.from('device_integrations').select('last_session').eq('id', id)), this.may('admin'), readLists(client, this.organization)])
    return { integration, isAdmin, lists, session: sessions[0]?.last_session, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration, session, kind, isAdmin, lists }) {
    const fields = kind ? readForm(kind.config_schema, lists).flatMap((group) => group.fields) : []
    const moves = ['session', 'parse'].some((each) => kind?.capabilities.includes(each))
    return [
      moves && this.child('integration-chart'), this.child('integration-alerts', { brief: true }),
      h('div', { class: 'columns' }, block(say('howItFares'), drawFacts(listHealth(integration, session))), block(say('settings'), drawFacts(listConfig(integration, fields)))),
      isAdmin && fields.filter((field) => field.rotates && integration.secrets.includes(field.name)).map((field) => this.drawRotation(field)),
    ]
  }

  drawRotation({ name, title }) {
    return block(title, note('quiet', say('rotateWhat')),
      h('div', { class: 'bar' }, h('label', { for: `grace-${name}` }, say('rotateGrace')), h('select', { id: `grace-${name}` }, GRACES.map((seconds) => h('option', { value: seconds, selected: seconds === 86_400 }, say(`grace_${seconds}`)))),
        button('rotate', () => this.rotate(name))))
  }

  async rotate(name) {
    const grace = Number(this.shadowRoot.getElementById(`grace-${name}`).value)
    const dialog = await this.openDialog('device-integration-dialog')
    if (dialog) await this.act(async () => dialog.show((await this.call('POST', `integrations/${this.integration}/rotate-secret`, { name, grace_seconds: grace })).body.generated))
  }
})

function listHealth({ health, device_count: devices, last_sync_at: heard, created_at: made, updated_at: changed, id }, session) {
  const ago = (iso) => iso && sayAgo(iso)
  return [
    [say('lastMessage'), ago(health.last_message_at)], [say('lastDelivery'), ago(health.last_delivered_at)], [say('messages24h'), sayNumber(health.messages_24h)], [say('pendingNow'), sayNumber(health.pending)],
    [say('deadNow'), sayNumber(health.dead)], [say('lagNow'), health.lag != null && sayNumber(health.lag)], [say('devices'), sayNumber(devices)], [say('lastHeard'), ago(heard)], [say('connectedIn'), session?.connect_ms != null && `${sayNumber(Math.round(session.connect_ms))} ms`],
    [say('sessionMessages'), session?.messages != null && say('sessionCounts', session)], [say('made'), ago(made)], [say('changedAt'), ago(changed)], [say('identifier'), h('code', {}, id)],
  ]
}

const write = (value) => (value && typeof value === 'object' ? JSON.stringify(value) : value === true ? say('yes') : value === false ? say('no') : value)

function listConfig({ config, secrets }, fields) {
  const known = new Map(fields.map((field) => [field.name, field]))
  const show = (name) => known.get(name)?.labels[config[name]] ?? (Array.isArray(config[name]) ? config[name].map(write).join(', ') : write(config[name]))
  const isSecret = (name) => secrets.some((secret) => secret === name || secret.startsWith(`${name}.`))
  return [...new Set([...known.keys(), ...Object.keys(config)])].map((name) => [known.get(name)?.title ?? name, name in config ? show(name) : isSecret(name) && say('secretSet')])
}
