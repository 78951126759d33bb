/** `<integration-activity>`: what happened to an integration, or in an organization, newest first. */

import { call, readNames, rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { drawLevel } from './health.js'
import { say, sayAgo, sayTime } from './language.js'
import { define } from './load.js'
import { SINCE, bar, button, choice, empty, saveAs, sinceChoices, table } from './parts.js'

const LEVELS = ['info', 'warning', 'error']

export class Activity extends Element {
  get freshness() { return { tables: ['integration_activity'], filter: `organization_id=eq.${this.organization}` } }

  prepare() { Object.assign(this, { wanted: {}, kinds: new Set() }) }

  async read() {
    let query = this.client.from('integration_activity').select('id,kind,level,message,created_at,integration_id').eq('organization_id', this.organization)
    if (this.integration) query = query.eq('integration_id', this.integration)
    const { level, kind, from } = this.filters
    if (level) query = query.eq('level', level)
    if (kind) query = query.eq('kind', kind)
    if (from) query = query.gte('created_at', from)
    const activity = await rows(query.order('created_at', { ascending: false }).order('id', { ascending: false }).limit(50))
    activity.forEach((each) => this.kinds.add(each.kind))
    return { activity, names: this.integration ? null : await readNames(this.client, 'device_integrations', activity.map((each) => each.integration_id)) }
  }

  render({ activity, names }) {
    const levels = [['', say('allLevels')], ...LEVELS.map((level) => [level, say(`level_${level}`)])]
    const kinds = [['', say('allKinds')], ...[...this.kinds].toSorted().map((kind) => [kind, kind])]
    const want = (name) => (value) => { this.wanted[name] = value; this.refresh() }
    const columns = ['when', 'level', ...(this.integration ? [] : ['integration']), 'whatHappened']
    return [
      bar('h3', this.getAttribute('heading') ?? say('tab_activity'), choice(say('level'), levels, want('level')), choice(say('kind'), kinds, want('kind')), choice(say('range'), sinceChoices(), want('since')),
        this.integration && activity.length > 0 && button('asCsv', () => this.save())),
      activity.length ? table(columns, activity.map((each) => drawRow(each, names))) : empty('noActivity'),
    ]
  }

  get filters() {
    const { level, kind, since } = this.wanted
    return { ...(level && { level }), ...(kind && { kind }), ...(since && { from: new Date(Date.now() - SINCE[since]).toISOString() }) }
  }

  /** As a file for a spreadsheet: up to 10,000 of what is asked for. */
  save() {
    return this.act(async () => {
      const { body } = await call(this.client, 'GET', `integrations/${this.integration}/activity.csv?${new URLSearchParams(this.filters)}`)
      saveAs('activity.csv', body)
    })
  }
}

function drawRow(each, names) {
  return h('tr', { 'data-key': each.id }, h('td', { title: sayTime(each.created_at) }, sayAgo(each.created_at)), h('td', {}, drawLevel(each.level)),
    names && h('td', {}, names.get(each.integration_id) ?? '–'), h('td', { class: 'wide' }, each.message, h('small', {}, ` ${each.kind}`)))
}

define('integration-activity', Activity)
