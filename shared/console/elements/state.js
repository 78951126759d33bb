/** `<device-state integration-id device-id>`: what the platform keeps of a device: its state and its settings; for admins. */

import { call } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say } from './language.js'
import { define } from './load.js'
import { bar, button, json, table } from './parts.js'

/** Each look asks the platform, so it is for somebody to ask again. */
const RARELY = 3600

export class DeviceState extends Element {
  freshness = { seconds: RARELY }
  failed = 'stateFailed'

  async read() {
    const path = `integrations/${this.integration}`
    const [state, settings] = await Promise.all([call(this.client, 'GET', `${path}/devices/${this.device}/state`), this.hasAttribute('settings') && call(this.client, 'GET', `${path}/settings?device_id=${this.device}`)])
    return { state: state.body, settings: settings ? settings.body.settings : [] }
  }

  render({ state, settings }) {
    return [
      bar('h3', say('state'), button('readAgain', () => this.refresh())),
      h('pre', { tabindex: '0', 'aria-label': say('state') }, JSON.stringify('state' in state ? state.state : state, null, 2)),
      settings.length > 0 && table(['name', 'value'], settings.map((each) => h('tr', {}, h('th', { scope: 'row' }, each.key ?? each.name), h('td', { class: 'wide' }, json(each.value))))),
    ]
  }
}

define('device-state', DeviceState)
