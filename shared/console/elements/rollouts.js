/** `<firmware-rollouts integration-id>`: what is on its way to which devices, how far it is, and starting another. */

import { Question } from './form.js'
import { Element, bar, button, define, empty, h, head, note, pages, row, say, sayAgo, sayNumber, table } from './kit.js'
import { drawToggle, drawWork } from './more.js'

const OPEN = ['starting', 'running']

const describeRollout = (cohorts, artifacts) => {
  const choose = (title, list, words) => ({ title: say(title), enum: list.map(({ id }) => id), 'x-labels': Object.fromEntries(list.map((each) => [each.id, words(each)])) })
  return {
    required: ['name', 'cohort_id', 'artifact_ids'],
    properties: { name: { type: 'string', title: say('name') }, cohort_id: choose('cohort', cohorts, ({ name }) => name), artifact_ids: choose('artifact', artifacts, ({ package: name, version }) => `${name} ${version}`) },
  }
}

define('firmware-rollouts', class extends Element {
  failed = 'rolloutsFailed'
  tables = ['firmware_rollouts']

  get filter() { return `integration_id=eq.${this.integration}` }
  get path() { return `integrations/${this.integration}/rollouts` }

  prepare() { Object.assign(this, { opened: null, asking: null }) }

  async read() {
    const [{ body }, details, isAdmin] = await Promise.all([this.call('GET', `${this.path}?limit=25`), this.opened && this.call('GET', `${this.path}/${this.opened}?limit=50`), this.may('admin')])
    return { rollouts: body.rollouts, devices: details?.body.devices, isAdmin }
  }

  render({ rollouts, devices, isAdmin }) {
    return [
      bar('h3', say('rollouts'), isAdmin && !this.asking && button('startRollout', () => this.ask(), 'primary')),
      this.asking && h('section', { class: 'summary good-news', 'data-key': 'asking' }, h('h3', {}, say('startRollout')), this.asking.element),
      rollouts.length ? table(['name', 'status', 'firmware', 'progress', isAdmin && 'action'], rollouts.map((each) => [this.drawOne(each, isAdmin), each.id === this.opened && devices && drawDevices(each, devices)])) : empty('noRollouts', 'noRolloutsWhy'),
    ]
  }

  drawOne({ id, name, status, error, artifacts, counts, created_at: made }, isAdmin) {
    const cancel = () => this.act(() => this.call('POST', `${this.path}/${id}/cancel`), say('rolloutCancelled'))
    return row(id, head(drawToggle(this, id, name), h('small', {}, ` ${sayAgo(made)}`)), [drawWork(status), error && note('wrong', error)],
      artifacts.map(({ package: of, version }) => `${of ?? ''} ${version ?? ''}`).join(', '), Object.entries(counts).map(([state, count]) => `${state}: ${sayNumber(count)}`).join(' · '), isAdmin && [OPEN.includes(status) && button('cancelRollout', cancel)])
  }

  /** What may be chosen is asked of the platform once, when somebody wants to start one. */
  ask() {
    return this.act(async () => {
      const [{ artifacts }, { cohorts }] = await Promise.all(['artifacts', 'cohorts'].map((name) => pages(this.client, `integrations/${this.integration}/${name}?`, name)))
      const cancel = () => { this.asking = null; this.redraw() }
      this.asking = new Question(describeRollout(cohorts, artifacts), () => this.startOne(), h('button', { class: 'primary' }, say('start')), button('cancel', cancel))
    })
  }

  startOne() {
    return this.act(async () => {
      await this.asking.put(({ name = '', artifact_ids: artifact, ...cohort }) => this.call('POST', this.path, { name, artifact_ids: artifact ? [artifact] : [], ...cohort }))
      this.asking = null
    }, say('rolloutStarted'))
  }
})

function drawDevices({ id }, devices) {
  const item = (each) => h('li', {}, h('b', {}, each.external_id), h('span', {}, [each.state, each.message].filter(Boolean).join(': ')), h('small', {}, `${each.from_version ?? '?'} → ${each.to_version}`))
  return row(`devices-${id}`, h('td', { colspan: 5, class: 'steps' }, devices.length ? h('ol', {}, devices.map(item)) : say('noDevicesYet')))
}
