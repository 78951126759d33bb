/** `<integration-activity>`: what happened to an integration, or in an organization, newest first. */

import { readNames, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawLevel } from './health.js'
import { say, sayAgo, sayTime } from './language.js'
import { define } from './load.js'
import { bar, choice, empty, table } from './parts.js'

const LEVELS = ['info', 'warning', 'error']

export class Activity extends Element {
  get freshness() { return { tables: ['integration_activity'], filter: `organization_id=eq.${this.organization}` } }

  prepare() { this.level = '' }

  async read() {
    let query = this.client.from('integration_activity').select('id,kind,level,message,created_at,integration_id').eq('organization_id', this.organization)
    if (this.integration) query = query.eq('integration_id', this.integration)
    if (this.level) query = query.eq('level', this.level)
    const activity = await rows(query.order('created_at', { ascending: false }).order('id', { ascending: false }).limit(50))
    return { activity, names: this.integration ? null : await readNames(this.client, 'device_integrations', activity.map((each) => each.integration_id)) }
  }

  render({ activity, names }) {
    const levels = [['', say('allLevels')], ...LEVELS.map((level) => [level, say(`level_${level}`)])]
    const columns = ['when', 'level', ...(this.integration ? [] : ['integration']), 'whatHappened']
    return [
      bar('h3', this.getAttribute('heading') ?? say('tab_activity'), choice(say('level'), levels, (level) => { this.level = level; this.refresh() })),
      activity.length ? table(columns, activity.map((each) => drawRow(each, names))) : empty('noActivity'),
    ]
  }

}

function drawRow(each, names) {
  return h('tr', { 'data-key': each.id }, h('td', { title: sayTime(each.created_at) }, sayAgo(each.created_at)), h('td', {}, drawLevel(each.level)),
    names && h('td', {}, names.get(each.integration_id) ?? '–'), h('td', { class: 'wide' }, each.message, h('small', {}, ` ${each.kind}`)))
}

define('integration-activity', Activity)
