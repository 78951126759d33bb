/** `<organization-audit>`: who changed what, for admins; of secrets there are only the names. */

import { rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say, sayAgo, sayTime } from './language.js'
import { define } from './load.js'
import { bar, button, empty, json, table } from './parts.js'

const PAGE = 50

export class Audit extends Element {
  freshness = { seconds: 15 }

  prepare() { this.length = PAGE }

  async read() {
    if (!(await this.may('admin'))) return null
    const { data: { session } } = await this.client.auth.getSession()
    const found = await rows(this.client.from('audit_log').select('id,created_at,actor_id,actor_role,database_role,action,table_name,changed').eq('organization_id', this.organization).order('created_at', { ascending: false }).order('id', { ascending: false }).limit(this.length))
    return { found, user: session?.user }
  }

  render(data) {
    if (!data) return empty('adminsOnly')
    const older = () => { this.length += PAGE; this.refresh() }
    return [
      bar('h2', this.getAttribute('heading') ?? say('audit')),
      data.found.length ? table(['when', 'who', 'what', 'changes'], data.found.map((row) => drawRow(row, data.user))) : empty('noAudit'),
      data.found.length === this.length && h('div', { class: 'bar' }, button('older', older)),
    ]
  }
}

function drawRow(row, user) {
  const who = !row.actor_id ? say('service') : row.actor_id === user?.id ? say('you') : `${row.actor_role ?? ''} ${row.actor_id.slice(0, 8)}`
  return h('tr', { 'data-key': row.id }, h('td', { title: sayTime(row.created_at) }, sayAgo(row.created_at)), h('td', {}, who), h('td', {}, say(`action_${row.action}`), ' ', row.table_name),
    h('td', { class: 'wide' }, h('ul', { class: 'plain' }, Object.entries(row.changed).map(([name, change]) => h('li', {}, `${name}: `, drawChange(change))))))
}

const drawChange = (change) => (change && typeof change === 'object' && ('old' in change || 'new' in change) ? [change.old != null && [json(change.old), ' → '], json(change.new ?? null)] : json(change))

define('organization-audit', Audit)
