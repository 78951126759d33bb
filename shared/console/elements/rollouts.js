/** `<firmware-rollouts integration-id>`: what is on its way to which devices, how far it is, and starting another. */

import { call, pages } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { Field } from './field.js'
import { drawWork } from './health.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define } from './load.js'
import { bar, button, empty, table } from './parts.js'

const OPEN = ['starting', 'running']

export class Rollouts extends Element {
  failed = 'rolloutsFailed'

  get freshness() { return { seconds: 5, tables: ['firmware_rollouts'], filter: `integration_id=eq.${this.integration}` } }

  get path() { return `integrations/${this.integration}` }

  prepare() { Object.assign(this, { opened: null, fields: null }) }

  async read() {
    const [{ body }, details, isAdmin] = await Promise.all([call(this.client, 'GET', `${this.path}/rollouts?limit=25`), this.opened && call(this.client, 'GET', `${this.path}/rollouts/${this.opened}?limit=50`), this.may('admin')])
    return { rollouts: body.rollouts, devices: details?.body.devices, isAdmin }
  }

  render({ rollouts, devices, isAdmin }) {
    return [
      bar('h3', say('rollouts'), isAdmin && !this.fields && button('startRollout', () => this.prepareNew(), 'primary')), this.fields && this.drawForm(),
      rollouts.length ? table(['name', 'status', 'firmware', 'progress', 'action'], rollouts.map((each) => [this.drawRow(each, isAdmin), each.id === this.opened && devices && drawDevices(each, devices)])) : empty('noRollouts', 'noRolloutsWhy'),
    ]
  }

  drawRow(each, isAdmin) {
    const isOpen = each.id === this.opened
    const toggle = () => { this.opened = isOpen ? null : each.id; this.refresh() }
    const cancel = () => this.act(() => call(this.client, 'POST', `${this.path}/rollouts/${each.id}/cancel`), say('rolloutCancelled'))
    return h('tr', { 'data-key': each.id }, h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', 'aria-expanded': String(isOpen), click: toggle }, each.name), h('small', {}, ` ${sayAgo(each.created_at)}`)),
      h('td', {}, drawWork(each.status), each.error && h('p', { class: 'wrong' }, each.error)), h('td', {}, each.artifacts.map(({ package: name, version }) => `${name ?? ''} ${version ?? ''}`).join(', ')),
      h('td', {}, Object.entries(each.counts).map(([state, count]) => `${state}: ${sayNumber(count)}`).join(' · ')), h('td', {}, isAdmin && OPEN.includes(each.status) && button('cancelRollout', cancel)))
  }

  /** What may be chosen is asked of the platform once, when somebody wants to start one. */
  prepareNew() {
    return this.act(async () => {
      const [{ artifacts }, { cohorts }] = await Promise.all([pages(this.client, `${this.path}/artifacts?`, 'artifacts'), pages(this.client, `${this.path}/cohorts?`, 'cohorts')])
      const make = (name, title, more) => new Field({ name, title: say(title), core: {}, labels: {}, required: true, kind: 'choice', ...more })
      const label = (list, words) => ({ choices: list.map(({ id }) => id), labels: Object.fromEntries(list.map((each) => [each.id, words(each)])) })
      this.fields = [make('name', 'name', { kind: 'text' }), make('cohort_id', 'cohort', label(cohorts, ({ name }) => name)), make('artifact_ids', 'artifact', label(artifacts, ({ package: name, version }) => `${name} ${version}`))]
      // Kept as it is over redraws: what was chosen stays.
      this.form = h('form', { class: 'summary good-news', submit: (event) => { event.preventDefault(); this.startNew() } }, h('h3', {}, say('startRollout')), h('div', { class: 'fields' }, this.fields.map((field) => field.element)),
        h('div', { class: 'bar' }, h('button', { class: 'primary' }, say('start')), button('cancel', () => { this.fields = null; this.redraw() })))
    })
  }

  drawForm() { return this.form }

  startNew() {
    return this.act(async () => {
      const [name, cohort, artifact] = this.fields.map((field) => field.read())
      try {
        await call(this.client, 'POST', `${this.path}/rollouts`, { name: name ?? '', artifact_ids: artifact ? [artifact] : [], ...(cohort && { cohort_id: cohort }) })
      } catch (problem) {
        this.fields.forEach((field) => field.show(problem.document?.errors.find((error) => error.field.split('.')[0] === field.field.name)?.message))
        throw problem
      }
      this.fields = null
    }, say('rolloutStarted'))
  }
}

function drawDevices({ id }, devices) {
  const row = (each) => h('li', {}, h('b', {}, each.external_id), h('span', {}, [each.state, each.message].filter(Boolean).join(': ')), h('small', {}, `${each.from_version ?? '?'} → ${each.to_version}`))
  return h('tr', { 'data-key': `devices-${id}` }, h('td', { colspan: 5, class: 'steps' }, devices.length ? h('ol', {}, devices.map(row)) : say('noDevicesYet')))
}

define('firmware-rollouts', Rollouts)
