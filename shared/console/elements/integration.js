/** `<integration-overview integration-id>`: one integration; a tab for each thing that its type can do. */

import { call, readTypes } from './api.js'
import { h, mayLeave } from './dom.js'
import { Element } from './element.js'
import { drawHealth } from './health.js'
import { say } from './language.js'
import { define, load } from './load.js'
import { button } from './parts.js'

/** What each tab shows, and the capabilities of which one is needed; none: always there. */
const TABS = [
  ['overview', []],
  ['messages', ['session', 'parse']],
  ['deliveries', ['deliver', 'publish']],
  ['devices', ['session', 'parse', 'devices']],
  ['sync', ['devices']],
  ['firmware', ['firmware']],
  ['activity', []],
]
const SHOWN = {
  messages: 'integration-messages', deliveries: 'webhook-deliveries', devices: 'device-list', sync: 'device-sync', firmware: 'firmware-rollouts', activity: 'integration-activity',
}

export class IntegrationOverview extends Element {
  tab = 'overview'

  get freshness() { return { tables: ['device_integrations'], filter: `id=eq.${this.integration}` } }

  async read() {
    const { body } = await call(this.client, 'GET', `integrations/${this.integration}`)
    const { integration } = body
    if (!this.organization) this.setAttribute('organization-id', integration.organization_id)
    const [types, isAdmin] = await Promise.all([readTypes(this.client), this.may('admin')])
    return { integration, isAdmin, scheduler: body.scheduler, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration, isAdmin, kind }) {
    const capabilities = kind?.capabilities ?? []
    const tabs = TABS.filter(([, needed]) => !needed.length || needed.some((each) => capabilities.includes(each))).map(([name]) => name)
    const shown = tabs.includes(this.tab) ? this.tab : 'overview'
    const { health } = integration
    return [
      h('div', { class: 'bar' }, h('h2', {}, integration.name), h('span', { class: 'quiet' }, kind?.label ?? integration.integration_type), drawHealth(health), h('span', { class: 'gap' }), isAdmin && this.drawActions(integration)),
      health.state !== 'healthy' && h('p', { class: health.state === 'failing' ? 'wrong' : 'quiet' }, health.reason),
      h('div', { role: 'tablist', 'aria-label': integration.name, keydown: (event) => this.move(event, tabs, shown) }, tabs.map((name) => this.drawTab(name, shown))),
      h('div', { role: 'tabpanel', id: 'panel', 'aria-labelledby': `tab-${shown}`, 'data-key': `panel-${shown}` }, this.drawPanel(shown, { integration, kind })),
    ]
  }

  drawActions(integration) {
    const on = integration.status !== 'inactive'
    const turn = () => this.act(() => call(this.client, 'PATCH', `integrations/${this.integration}`, { status: on ? 'inactive' : 'active' }), say(on ? 'wasSwitchedOff' : 'wasSwitchedOn'))
    return [button(on ? 'switchOff' : 'switchOn', turn), button('editAndTest', () => this.edit(), 'primary')]
  }

  drawTab(name, shown) {
    const isShown = name === shown
    return h('button', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-selected': String(isShown), 'aria-controls': 'panel', tabindex: isShown ? '0' : '-1', click: () => name !== shown && this.choose(name) }, say(`tab_${name}`))
  }

  drawPanel(name) {
    const attributes = { client: this.given, 'organization-id': this.organization, 'integration-id': this.integration }
    if (name !== 'overview') return h(SHOWN[name], attributes)
    return [h('integration-facts', attributes)]
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
    if (!(await load('device-integration-dialog'))) return
    if (!this.dialog) {
      this.dialog = Object.assign(document.createElement('device-integration-dialog'), { given: this.given })
      this.dialog.addEventListener('di-saved', () => this.refresh())
    }
    this.dialog.setAttribute('organization-id', this.organization)
    this.shadowRoot.append(this.dialog)
    await this.dialog.open({ id: this.integration })
  }
}

define('integration-overview', IntegrationOverview)
