/** `<organization-codecs>`: the decoders of an organization, what uses each, and the way to write and try one. */

import { pages } from './api.js'
import { h } from './dom.js'
import { Element } from './element.js'
import { say, sayAgo } from './language.js'
import { define, load } from './load.js'
import { bar, button, empty, table } from './parts.js'

export class Codecs extends Element {
  failed = 'codecsFailed'

  get freshness() { return { seconds: 30, tables: ['codecs'], filter: `organization_id=eq.${this.organization}` } }

  async read() {
    const [{ codecs }, { integrations }, isAdmin] = await Promise.all([this.ask('integrations/codecs', 'codecs'), this.ask('integrations', 'integrations'), this.may('admin')])
    return { codecs, integrations, isAdmin }
  }

  ask(path, name) { return pages(this.client, `${path}?organization_id=${this.organization}&limit=200`, name) }

  render({ codecs, integrations, isAdmin }) {
    const add = isAdmin && button('addCodec', () => this.edit({}), 'primary')
    const usersOf = ({ id }) => integrations.filter(({ config }) => [config.codec, config.transform].includes(id)).map(({ name }) => name)
    const row = (each) => h('tr', { 'data-key': each.id }, h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', click: () => this.edit({ id: each.id }) }, each.name)),
      h('td', {}, h('code', {}, each.kind)), h('td', {}, usersOf(each).join(', ') || say('unused')), h('td', {}, sayAgo(each.updated_at)))
    return [bar('h2', this.getAttribute('heading') ?? say('codecs'), add), codecs.length ? table(['name', 'kind', 'usedBy', 'changed'], codecs.map(row)) : empty('noCodecs', 'noCodecsWhy')]
  }

  async edit(what) {
    if (!(await load('codec-dialog'))) return this.act(() => { throw new Error() })
    if (!this.dialog) {
      this.dialog = Object.assign(document.createElement('codec-dialog'), { given: this.given })
      for (const told of ['di-saved', 'di-deleted']) this.dialog.addEventListener(told, (event) => { event.stopPropagation(); this.refresh() })
    }
    this.dialog.setAttribute('organization-id', this.organization)
    if (!this.dialog.isConnected) this.shadowRoot.append(this.dialog)
    await this.dialog.open(what)
  }
}

define('organization-codecs', Codecs)
