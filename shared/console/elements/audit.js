/** `<organization-audit>`: who changed what, for admins; of secrets there are only the names. `<organization-members>`: who belongs, and as what. */

import { Element, bar, button, define, empty, h, head, note, row, rows, say, sayTime, table, when, wide } from './kit.js'
import { json } from './more.js'

const PAGE = 50
const CHANGES = 'id,created_at,actor_id,actor_role,database_role,action,table_name,changed'

/** Who is signed in. */
const readUser = async ({ client }) => (await client.auth.getSession()).data.session?.user

define('organization-audit', class extends Element {
  seconds = 15
  length = PAGE

  async read() {
    if (!(await this.may('admin'))) return null
    const found = await rows(this.query('audit_log', CHANGES).order('created_at', { ascending: false }).order('id', { ascending: false }).limit(this.length))
    return { found, user: await readUser(this) }
  }

  render(data) {
    if (!data) return empty('adminsOnly')
    const { found, user } = data
    const older = () => { this.length += PAGE; this.refresh() }
    const name = ({ actor_id: id, actor_role: role }) => (!id ? say('service') : id === user?.id ? say('you') : `${role ?? ''} ${id.slice(0, 8)}`)
    return [
      bar('h2', this.headline('audit')),
      found.length ? table(['when', 'who', 'what', 'changes'], found.map((each) => row(each.id, when(each.created_at), name(each), `${say(`action_${each.action}`)} ${each.table_name}`,
        wide(h('ul', { class: 'plain' }, Object.entries(each.changed).map(([field, change]) => h('li', {}, `${field}: `, drawChange(change)))))))) : empty('noAudit'),
      found.length === this.length && h('div', { class: 'bar' }, button('older', older)),
    ]
  }
})

const drawChange = (change) => (change && typeof change === 'object' && ('old' in change || 'new' in change) ? [change.old != null && [json(change.old), ' → '], json(change.new ?? null)] : json(change))

define('organization-members', class extends Element {
  seconds = 30

  async read() {
    return { members: await rows(this.query('organization_members', 'user_id,role,created_at').order('created_at').limit(200)), user: await readUser(this) }
  }

  render({ members, user }) {
    const name = (id) => (id === user?.id ? `${user.email ?? ''} (${say('you')})` : h('code', {}, id))
    return [bar('h2', this.headline('members')), table(['member', 'role', 'memberSince'], members.map((each) => row(each.user_id, head(name(each.user_id)), say(`role_${each.role}`), sayTime(each.created_at)))), note('quiet', say('membersHow'))]
  }
})
