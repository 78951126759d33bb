/** `<device-sync integration-id>`: brings devices into step, tries that without changing anything, and settles conflicts. */

import { call, readNames } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawWork } from './health.js'
import { say, sayAgo, sayNumber } from './language.js'
import { define } from './load.js'
import { bar, button, empty, json, table } from './parts.js'

export class DeviceSync extends Element {
  freshness = { seconds: 3 }

  get path() { return `integrations/${this.integration}` }

  async read() {
    const [jobs, conflicts, isAdmin] = await Promise.all([call(this.client, 'GET', `${this.path}/jobs?kind=sync&limit=5`), call(this.client, 'GET', `${this.path}/conflicts?status=open&limit=50`), this.may('admin')])
    const found = conflicts.body.conflicts
    return { jobs: jobs.body.jobs, conflicts: found, isAdmin, names: await readNames(this.client, 'devices', found.map((each) => each.device_id)) }
  }

  render({ jobs, conflicts, isAdmin, names }) {
    const begin = (dry) => () => this.act(() => call(this.client, 'POST', `${this.path}/jobs`, { kind: 'sync', dry_run: dry }), say(dry ? 'dryBegun' : 'syncBegun'))
    return [
      bar('h3', say('tab_sync'), isAdmin && [button('dryRun', begin(true)), button('syncNow', begin(false), 'primary')]),
      jobs.length ? jobs.map((job) => this.drawJob(job, job === jobs[0])) : empty('noSyncs', 'noSyncsWhy'),
      bar('h3', say('conflicts')),
      conflicts.length ? table(['deviceWord', 'here', 'there', 'action'], conflicts.map((each) => this.drawConflict(each, isAdmin, names))) : h('p', { class: 'quiet' }, say('noConflicts')),
    ]
  }

  drawJob(job, isNewest) {
    const { counts, changes = [] } = job.report ?? job.progress ?? {}
    const isDry = job.request.dry_run
    return h('details', { class: 'group', 'data-key': job.id, open: isNewest }, h('summary', {}, say(isDry ? 'dryRun' : 'syncRun'), ' · ', sayAgo(job.created_at), ' · ', drawWork(job.status)),
      isDry && h('p', { class: 'quiet' }, say('nothingChanged')), job.error && h('p', { class: 'wrong' }, job.error),
      counts && h('p', {}, Object.entries(counts).filter(([, count]) => count).map(([name, count]) => `${name}: ${sayNumber(count)}`).join(' · ') || say('nothingToDo')),
      changes.length > 0 && h('ul', {}, changes.map((change) => h('li', {}, json(change)))))
  }

  drawConflict(each, isAdmin, names) {
    const resolve = (resolution) => () => this.act(() => call(this.client, 'POST', `${this.path}/conflicts/${each.id}/resolve`, { resolution }), say('settled'))
    const show = (side) => h('td', {}, each.fields.map((field) => h('div', {}, `${field}: `, json(side?.[field] ?? null))))
    return h('tr', { 'data-key': each.id }, h('th', { scope: 'row' }, names.get(each.device_id) ?? each.device_id.slice(0, 8)), show(each.local), show(each.remote), h('td', {}, isAdmin && [button('keepOurs', resolve('local')), ' ', button('keepTheirs', resolve('remote'))]))
  }
}

define('device-sync', DeviceSync)
