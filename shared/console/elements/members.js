/** `<organization-members>`: who belongs, and as what; read only. */

import { rows } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say, sayTime } from './language.js'
import { define } from './load.js'
import { bar, table } from './parts.js'

export class Members extends Element {
  freshness = { seconds: 30 }

  async read() {
    const { data: { session } } = await this.client.auth.getSession()
    const members = await rows(this.client.from('organization_members').select('user_id,role,created_at').eq('organization_id', this.organization).order('created_at').limit(200))
    return { members, user: session?.user }
  }

  render({ members, user }) {
    const row = (each) => h('tr', { 'data-key': each.user_id }, h('th', { scope: 'row' }, each.user_id === user?.id ? `${user.email ?? ''} (${say('you')})` : h('code', {}, each.user_id)), h('td', {}, say(`role_${each.role}`)), h('td', {}, sayTime(each.created_at)))
    return [bar('h2', this.getAttribute('heading') ?? say('members')), table(['member', 'role', 'memberSince'], members.map(row)), h('p', { class: 'quiet' }, say('membersHow'))]
  }
}

define('organization-members', Members)
