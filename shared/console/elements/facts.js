/** `<integration-facts integration-id>`: how one integration fares, its last session, its config without secrets, their rotation. */

import { Element, button, call, define, drawFacts, h, readTypes, rows, say, sayAgo, sayNumber } from './kit.js'
import './more.js'
import { readForm, readLists } from './schema.js'

const GRACES = [3600, 86_400, 604_800]

define('integration-facts', class extends Element {
  async read() {
    const { client, integration: id } = this
    const [{ body: { integration } }, types, sessions, isAdmin, lists] = await Promise.all([call(client, 'GET', `integrations/${id}`), readTypes(client),
      rows(client.from('device_integrations').select('last_session').eq('id', id)), this.may('admin'), readLists(client, this.organization)])
    return { integration, isAdmin, lists, session: sessions[0]?.last_session, kind: types.find((each) => each.type === integration.integration_type) }
  }

  render({ integration, session, kind, isAdmin, lists }) {
    const fields = kind ? readForm(kind.config_schema, lists).flatMap((group) => group.fields) : []
    const moves = ['session', 'parse'].some((each) => kind?.capabilities.includes(each))
    return [
      moves && this.child('integration-chart'), this.child('integration-alerts', { brief: true }),
      h('div', { class: 'columns' }, h('section', { class: 'block' }, h('h3', {}, say('howItFares')), drawFacts(listHealth(integration, session))), h('section', { class: 'block' }, h('h3', {}, say('settings')), drawFacts(listConfig(integration, fields)))),
      isAdmin && fields.filter((field) => field.rotates && integration.secrets.includes(field.name)).map((field) => this.drawRotation(field)),
    ]
  }

  drawRotation({ name, title }) {
    return h('section', { class: 'block' }, h('h3', {}, title), h('p', { class: 'quiet' }, say('rotateWhat')),
      h('div', { class: 'bar' }, h('label', { for: `grace-${name}` }, say('rotateGrace')), h('select', { id: `grace-${name}` }, GRACES.map((seconds) => h('option', { value: seconds, selected: seconds === 86_400 }, say(`grace_${seconds}`)))),
        button('rotate', () => this.rotate(name))))
  }

  async rotate(name) {
    const grace = Number(this.shadowRoot.getElementById(`grace-${name}`).value)
    const dialog = await this.openDialog('device-integration-dialog')
    if (dialog) await this.act(async () => dialog.show((await call(this.client, 'POST', `integrations/${this.integration}/rotate-secret`, { name, grace_seconds: grace })).body.generated))
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
