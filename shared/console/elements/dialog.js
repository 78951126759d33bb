/** `<device-integration-dialog>`: create or change one integration, test it, and see what is wrong where it is wrong. */

import { drawGenerated } from './dialog-pages.js'
import { makeField } from './objects.js'
import { Form } from './form.js'
import { Dialog } from './frame.js'
import { button, define, gap, h, note, readTypes, say } from './kit.js'
import { readLists } from './schema.js'
import { Trial } from './trial.js'

const STATUS = { name: 'status', kind: 'switch', core: {}, labels: {}, fallback: true }

/** Also where the page is not a secure context, which has no `randomUUID`. */
const makeKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')

define('device-integration-dialog', class extends Dialog {
  noun = 'integration'
  removal = ['deleteWhat', 'deleteStays']

  get path() { return `integrations/${this.id}` }
  get type() { return this.saved?.integration_type ?? this.chosen }

  async prepare() { [this.types, this.lists] = await Promise.all([readTypes(this.client), readLists(this.client, this.organization)]) }

  /** Open to show secrets that were just made. */
  show(generated) { this.unfold(); drawGenerated(this, generated, () => {}) }

  drawFirst() {
    if (this.type) return this.drawForm()
    const choose = (type) => () => { this.chosen = type; this.drawForm() }
    const cards = this.types.map(({ type, label, docs }) => h('li', {}, h('button', { type: 'button', class: 'card', 'data-type': type, click: choose(type) }, h('b', {}, label), h('span', {}, docs))))
    this.fill(say('chooseType'), h('ul', { class: 'cards' }, cards), [gap(), button('cancel', () => this.close())])
    this.shadowRoot.querySelector('.card')?.focus()
  }

  drawForm() {
    const { saved, isAdmin } = this
    const kind = this.types.find((each) => each.type === this.type)
    this.status = saved && makeField({ ...STATUS, title: say('switchedOn'), help: say('switchedOnHelp') }, saved.status !== 'inactive')
    this.form = new Form(kind?.config_schema ?? {}, saved?.config, saved?.secrets, this.lists)
    this.trial = new Trial(this)
    this.compose(say('newOf', { type: kind?.label ?? this.type }), [this.status?.element, this.form.element, this.trial.element], {
      help: say('nameHelp'), lead: !isAdmin && note('quiet', say('notAdmin')), test: isAdmin && kind?.capabilities.includes('check') && button('test', () => this.trial.run()),
    })
  }

  read() {
    const [config, on] = [this.form.read(), this.status?.typed ?? true]
    const isSwitched = this.saved && on !== (this.saved.status !== 'inactive')
    return { ...this.readName(), ...(isSwitched && { status: on ? 'active' : 'inactive' }), ...(Object.keys(config).length && { config }) }
  }

  /** The same again has the same key: what has come already is not made twice. */
  create({ name, config = {} }) {
    const body = { organization_id: this.organization, integration_type: this.type, name, config }
    const text = JSON.stringify(body)
    if (this.sent !== text) Object.assign(this, { sent: text, key: makeKey() })
    return this.call('POST', 'integrations', body, { 'Idempotency-Key': this.key })
  }

  finish({ integration, generated }) {
    const isNew = !this.saved
    const done = () => this.tell('di-saved', { ...integration, isNew })
    if (generated) return drawGenerated(this, generated, done)
    done()
    this.close()
  }

  /** What there is to compare of a saved one. */
  list({ name, status, config }) { return { name, status, ...config } }

  close() {
    this.trial?.stop()
    super.close()
  }
})
