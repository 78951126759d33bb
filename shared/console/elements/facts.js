/** `<integration-facts integration-id>`: how one integration fares, its last session, its config without secrets, their rotation. */

import { call, readLists, readTypes, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define, load } from './load.js'
import { button } from './parts.js'
import { readForm } from './schema.js'

const GRACES = [3600, 86_400, 604_800]

export class IntegrationFacts extends Element {
  async read() {
    const { client, integration: id } = this
    const [{ body }, types, sessions, isAdmin, lists] = await Promise.all([call(client, 'GET', `integrations/${id}`), readTypes(client),
      rows(client.from('device_integrations').select('last_session').eq('id', id)), this.may('admin'), readLists(client, this.organization)])
    const { integration } = body
    return { integration, isAdmin, lists, session: sessions[0]?.last_session, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration, session, kind, isAdmin, lists }) {
    const fields = kind ? readForm(kind.config_schema, lists).flatMap((group) => group.fields) : []
    const moves = ['session', 'parse'].some((each) => kind?.capabilities.includes(each))
    return [
      moves && h('integration-chart', { client: this.given, 'organization-id': this.organization, 'integration-id': this.integration }),
      h('integration-alerts', { client: this.given, 'organization-id': this.organization, 'integration-id': this.integration, brief: true }),
      h('div', { class: 'columns' }, h('section', { class: 'block' }, h('h3', {}, say('howItFares')), drawFacts(listHealth(integration, session))),
        h('section', { class: 'block' }, h('h3', {}, say('settings')), drawFacts(listConfig(integration, fields)))),
      isAdmin && this.drawRotation(integration, fields),
    ]
  }

  drawRotation({ secrets }, fields) {
    const rotating = fields.filter((field) => field.rotates && secrets.includes(field.name))
    return rotating.map(({ name, title }) => h('section', { class: 'block' }, h('h3', {}, title), h('p', { class: 'quiet' }, say('rotateWhat')),
      h('div', { class: 'bar' }, h('label', { for: `grace-${name}` }, say('rotateGrace')), h('select', { id: `grace-${name}` }, GRACES.map((seconds) => h('option', { value: seconds, selected: seconds === 86_400 }, say(`grace_${seconds}`)))),
        button('rotate', () => this.rotate(name)))))
  }

  async rotate(name) {
    const grace = Number(this.shadowRoot.getElementById(`grace-${name}`).value)
    await this.act(async () => {
      const { body } = await call(this.client, 'POST', `integrations/${this.integration}/rotate-secret`, { name, grace_seconds: grace })
      await load('device-integration-dialog')
      this.dialog?.remove()
      this.dialog = Object.assign(document.createElement('device-integration-dialog'), { given: this.given })
      this.shadowRoot.append(this.dialog)
      this.dialog.show(body.generated)
    })
  }
}

/** Names and what they are: `[[name, value]]`, those without value left out. */
export const drawFacts = (facts) => h('dl', { class: 'facts' }, facts.filter(([, value]) => value != null && value !== '').map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))

function listHealth(integration, session) {
  const { health } = integration
  return [
    [say('lastMessage'), health.last_message_at && sayAgo(health.last_message_at)], [say('lastDelivery'), health.last_delivered_at && sayAgo(health.last_delivered_at)],
    [say('messages24h'), sayNumber(health.messages_24h)], [say('pendingNow'), sayNumber(health.pending)], [say('deadNow'), sayNumber(health.dead)],
    [say('devices'), sayNumber(integration.device_count)], [say('lastHeard'), integration.last_sync_at && sayAgo(integration.last_sync_at)],
    [say('connectedIn'), session?.connect_ms != null && `${sayNumber(Math.round(session.connect_ms))} ms`], [say('sessionMessages'), session?.messages != null && say('sessionCounts', session)],
    [say('made'), sayAgo(integration.created_at)], [say('changedAt'), sayAgo(integration.updated_at)], [say('identifier'), h('code', {}, integration.id)],
  ].map(([name, value]) => [name, value === false ? null : value])
}

function listConfig({ config, secrets }, fields) {
  const known = new Map(fields.map((field) => [field.name, field]))
  const show = (value) => (Array.isArray(value) ? value.map((each) => (typeof each === 'object' ? JSON.stringify(each) : each)).join(', ') : typeof value === 'object' && value ? JSON.stringify(value) : value === true ? say('yes') : value === false ? say('no') : value)
  const names = [...known.keys(), ...Object.keys(config).filter((name) => !known.has(name))]
  return names.flatMap((name) => {
    const isSecret = secrets.some((secret) => secret === name || secret.startsWith(`${name}.`))
    return [[known.get(name)?.title ?? name, name in config ? known.get(name)?.labels[config[name]] ?? show(config[name]) : isSecret ? say('secretSet') : null]]
  })
}

define('integration-facts', IntegrationFacts)
