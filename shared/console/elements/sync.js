/** `<device-sync integration-id>`: brings devices into step, tries that without changing anything, and settles conflicts. */

import { Element, bar, button, define, empty, h, head, note, row, say, sayAgo, sayNumber, table } from './kit.js'
import { drawWork, json } from './more.js'

define('device-sync', class extends Element {
  seconds = 3

  get path() { return `integrations/${this.integration}` }

  async read() {
    const [jobs, { body: { conflicts } }, isAdmin] = await Promise.all([this.call('GET', `${this.path}/jobs?kind=sync&limit=5`), this.call('GET', `${this.path}/conflicts?status=open&limit=50`), this.may('admin')])
    return { jobs: jobs.body.jobs, conflicts, isAdmin, names: await this.readNames('devices', 'device_id', conflicts) }
  }

  render({ jobs, conflicts, isAdmin, names }) {
    const begin = (dry) => () => this.act(() => this.call('POST', `${this.path}/jobs`, { kind: 'sync', dry_run: dry }), say(dry ? 'dryBegun' : 'syncBegun'))
    return [
      bar('h3', say('tab_sync'), isAdmin && [button('dryRun', begin(true)), button('syncNow', begin(false), 'primary')]),
      jobs.length ? jobs.map((job) => drawJob(job, job === jobs[0])) : empty('noSyncs', 'noSyncsWhy'),
      bar('h3', say('conflicts')),
      conflicts.length ? table(['deviceWord', 'here', 'there', isAdmin && 'action'], conflicts.map((each) => this.drawConflict(each, isAdmin, names))) : note('quiet', say('noConflicts')),
    ]
  }

  drawConflict({ id, device_id: device, fields, local, remote }, isAdmin, names) {
    const settle = (resolution) => () => this.act(() => this.call('POST', `${this.path}/conflicts/${id}/resolve`, { resolution }), say('settled'))
    const show = (side) => fields.map((field) => h('div', {}, `${field}: `, json(side?.[field] ?? null)))
    return row(id, head(names.get(device) ?? device.slice(0, 8)), show(local), show(remote), isAdmin && [button('keepOurs', settle('local')), ' ', button('keepTheirs', settle('remote'))])
  }
})

function drawJob(job, isNewest) {
  const { counts, changes = [] } = job.report ?? job.progress ?? {}
  const isDry = job.request.dry_run
  return h('details', { class: 'group', 'data-key': job.id, open: isNewest }, h('summary', {}, say(isDry ? 'dryRun' : 'syncRun'), ' · ', sayAgo(job.created_at), ' · ', drawWork(job.status)),
    isDry && note('quiet', say('nothingChanged')), job.error && note('wrong', job.error),
    counts && h('p', {}, Object.entries(counts).filter(([, count]) => count).map(([name, count]) => `${name}: ${sayNumber(count)}`).join(' · ') || say('nothingToDo')),
    changes.length > 0 && h('ul', {}, changes.map((change) => h('li', {}, json(change)))))
}
