/** `<organization-codecs>`: the decoders of an organization, what uses each, and the way to write and try one. */

import { Element, bar, button, define, empty, h, head, link, pages, row, say, table, when } from './kit.js'
import './more.js'

define('organization-codecs', class extends Element {
  seconds = 30
  tables = ['codecs']
  failed = 'codecsFailed'

  async read() {
    const ask = (path, name) => pages(this.client, `${path}?organization_id=${this.organization}&limit=200`, name)
    const [{ codecs }, { integrations }, isAdmin] = await Promise.all([ask('integrations/codecs', 'codecs'), ask('integrations', 'integrations'), this.may('admin')])
    return { codecs, integrations, isAdmin }
  }

  render({ codecs, integrations, isAdmin }) {
    const usersOf = ({ id }) => integrations.filter(({ config }) => [config.codec, config.transform].includes(id)).map(({ name }) => name)
    const draw = (each) => row(each.id, head(link(each.name, () => this.edit({ id: each.id }))), h('code', {}, each.kind), usersOf(each).join(', ') || say('unused'), when(each.updated_at))
    return [bar('h2', this.headline('codecs'), isAdmin && button('addCodec', () => this.edit({}), 'primary')), codecs.length ? table(['name', 'kind', 'usedBy', 'changed'], codecs.map(draw)) : empty('noCodecs', 'noCodecsWhy')]
  }

  async edit(what) {
    const heard = (event) => { event.stopPropagation(); this.refresh() }
    const dialog = await this.openDialog('codec-dialog', { 'di-saved': heard, 'di-deleted': heard })
    await dialog?.open(what)
  }
})
