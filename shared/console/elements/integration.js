/** `<integration-overview integration-id>`: one integration; a tab for each thing that its type can do. */

import { Element, button, call, define, drawHealth, h, mayLeave, readTypes, say } from './kit.js'
import './more.js'

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
    const { body: { integration } } = await call(this.client, 'GET', `integrations/${this.integration}`)
    if (!this.organization) this.setAttribute('organization-id', integration.organization_id)
    const [types, isAdmin] = await Promise.all([readTypes(this.client), this.may('admin')])
    return { integration, isAdmin, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration: { name, integration_type: type, status, health }, isAdmin, kind }) {
    const can = (each) => kind?.capabilities.includes(each)
    const tabs = Object.keys(TABS).filter((tab) => !TABS[tab][1].length || TABS[tab][1].some(can))
    const shown = tabs.includes(this.tab) ? this.tab : 'overview'
    return [
      h('div', { class: 'bar' }, h('h2', {}, name), h('span', { class: 'quiet' }, kind?.label ?? type), drawHealth(health.state), h('span', { class: 'gap' }), isAdmin && this.drawActions(status !== 'inactive')),
      health.state !== 'healthy' && h('p', { class: health.state === 'failing' ? 'wrong' : 'quiet' }, health.reason),
      h('div', { role: 'tablist', 'aria-label': name, keydown: (event) => this.move(event, tabs, shown) }, tabs.map((tab) => this.drawTab(tab, shown))),
      h('div', { role: 'tabpanel', id: 'panel', 'aria-labelledby': `tab-${shown}`, 'data-key': `panel-${shown}` }, this.child(TABS[shown][0])),
    ]
  }

  drawActions(isOn) {
    const turn = () => this.act(() => call(this.client, 'PATCH', `integrations/${this.integration}`, { status: isOn ? 'inactive' : 'active' }), say(isOn ? 'wasSwitchedOff' : 'wasSwitchedOn'))
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
