/** `<integration-alerts>`: what somebody should look at, the open ones first; `brief` shows no more than those. */

import { readNames, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawLevel } from './health.js'
import { say, sayAgo } from './language.js'
import { define } from './load.js'
import { bar, button, empty } from './parts.js'

const MOST = 100

export class Alerts extends Element {
  failed = 'alertsFailed'

  get freshness() { return { tables: ['alerts'], filter: `organization_id=eq.${this.organization}` } }

  get isBrief() { return this.hasAttribute('brief') }

  async read() {
    let query = this.client.from('alerts').select('*').eq('organization_id', this.organization)
    if (this.integration) query = query.eq('integration_id', this.integration)
    if (this.isBrief) query = query.is('resolved_at', null)
    // Open before resolved, new before acknowledged, errors before warnings: each null and `error` come first in its order.
    for (const [column, ascending] of [['resolved_at', false], ['acknowledged_at', false], ['level', true], ['created_at', false]]) query = query.order(column, { ascending })
    const [alerts, isMember] = await Promise.all([rows(query.limit(MOST)), this.may('member')])
    return { alerts, isMember, names: await readNames(this.client, 'device_integrations', alerts.map((alert) => alert.integration_id)) }
  }

  render({ alerts, isMember, names }) {
    if (this.isBrief && !alerts.length) return null
    return [
      bar('h2', this.getAttribute('heading') ?? say(this.isBrief ? 'needsYou' : 'alerts')),
      alerts.length ? h('ul', { class: 'plain' }, alerts.map((alert) => this.drawOne(alert, isMember, names))) : empty('noAlerts', 'noAlertsWhy'),
      alerts.length === MOST && h('p', { class: 'quiet' }, say('cut', { count: MOST })),
    ]
  }

  drawOne(alert, isMember, names) {
    const open = () => this.tell('di-open', { kind: 'integration', id: alert.integration_id })
    const isOpen = !alert.resolved_at
    const canAcknowledge = isOpen && isMember && this.client.rpc && 'acknowledged_at' in alert && !alert.acknowledged_at
    const acknowledge = () => this.act(() => rows(this.client.rpc('acknowledge_alert', { id: alert.id })), say('acknowledged'))
    return h('li', { class: `summary ${isOpen ? (alert.level === 'error' ? '' : 'warning') : 'over'}`, 'data-key': alert.id },
      h('div', { class: 'bar' }, isOpen ? drawLevel(alert.level) : h('span', { class: 'quiet' }, `✓ ${say('resolved', { when: sayAgo(alert.resolved_at) })}`),
        !this.integration && h('button', { type: 'button', class: 'link', click: open }, names.get(alert.integration_id) ?? say('integration')),
        h('small', {}, say('since', { when: sayAgo(alert.created_at) })), alert.acknowledged_at && h('small', {}, say('acknowledgedAt', { when: sayAgo(alert.acknowledged_at) })),
        h('span', { class: 'gap' }), canAcknowledge && button('acknowledge', acknowledge, '', { 'aria-label': `${say('acknowledge')}: ${alert.message}` })),
      h('p', {}, alert.message))
  }
}

define('integration-alerts', Alerts)
