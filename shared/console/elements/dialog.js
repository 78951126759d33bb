/** `<device-integration-dialog>`: create or change one integration, test it, and see what is wrong where it is wrong. */

import { Problem, asProblem, call, newKey, readLists, readTypes } from './api.js'
import { h, nextId } from './dom.js'
import { Field } from './field.js'
import { Form } from './form.js'
import { Dialog } from './frame.js'
import { drawGenerated } from './generated.js'
import { ready, say } from './language.js'
import { define } from './load.js'
import { drawRemoval } from './removal.js'
import { Trial } from './trial.js'
import { Troubles } from './troubles.js'
import { drawTypes } from './types.js'

const NAME = { name: 'name', kind: 'text', core: {}, required: true, labels: {} }
const STATUS = { name: 'status', kind: 'switch', core: {}, labels: {}, fallback: true }

export class IntegrationDialog extends Dialog {
  noun = 'integration'

  get path() { return `integrations/${this.id}` }

  /** Open for a new one (`{}` or `{type}`) or a saved one (`{id}`). */
  async open({ id, type } = {}) {
    await ready()
    Object.assign(this, { id: id ?? null, type, etag: null, saved: null, page: null, locked: false })
    this.unfold()
    try {
      [this.types, this.isAdmin, this.lists] = await Promise.all([readTypes(this.client), this.may('admin'), readLists(this.client, this.organization), id && this.load()])
      if (this.type) this.drawForm()
      else drawTypes(this)
    } catch (problem) {
      this.drawFailure(asProblem(problem).document)
    }
  }

  /** Open to show secrets that were just made. */
  show(generated) { this.unfold(); drawGenerated(this, generated, () => {}) }

  async load() {
    const { body, etag } = await call(this.client, 'GET', this.path)
    Object.assign(this, { saved: body.integration, etag, type: body.integration.integration_type })
  }

  get kind() { return this.types.find((each) => each.type === this.type) }

  drawForm() {
    const { saved, kind } = this
    this.name = new Field({ ...NAME, title: say('name'), help: say('nameHelp') }, saved?.name)
    this.status = saved && new Field({ ...STATUS, title: say('switchedOn'), help: say('switchedOnHelp') }, saved.status !== 'inactive')
    this.form = new Form(kind?.config_schema ?? {}, saved?.config, saved?.secrets, this.lists)
    this.troubles = new Troubles(this)
    this.trial = new Trial(this)
    const saving = (event) => { event.preventDefault(); this.save() }
    this.page = h('form', { id: nextId('form'), novalidate: true, submit: saving, input: () => this.asked?.remove() }, this.troubles.element, this.name.element, this.status?.element, this.form.element, this.trial.element)
    this.submit = h('button', { type: 'submit', form: this.page.id, class: 'primary' }, say('save'))
    const isChecked = this.isAdmin && kind?.capabilities.includes('check')
    this.shown = [saved?.name ?? say('newOf', { type: kind?.label ?? this.type }), [!this.isAdmin && h('p', { class: 'quiet' }, say('notAdmin')), this.page],
      [isChecked && this.button('test', () => this.trial.run()), saved && this.isAdmin && this.button('deleteOne', () => drawRemoval(this, 'deleteWhat', 'deleteStays'), 'danger'), h('span', { class: 'gap' }),
        this.button(this.isAdmin ? 'cancel' : 'close', () => this.leave()), this.isAdmin && this.submit]]
    this.drawAgain()
    if (!this.isAdmin) [this.name, this.status, this.form].forEach((part) => part && [...part.element.querySelectorAll('input, select, textarea, button')].forEach((each) => { each.disabled = true }))
  }

  /** What was typed, as the API takes it; of a saved one only what differs. */
  read() {
    const [name, config, on] = [this.name.read(), this.form.read(), this.status?.typed ?? true]
    const isSwitched = this.saved && on !== (this.saved.status !== 'inactive')
    return { ...(name === undefined ? {} : { name: name ?? '' }), ...(isSwitched && { status: on ? 'active' : 'inactive' }), ...(Object.keys(config).length && { config }) }
  }

  get isDirty() { return this.locked || (Boolean(this.page) && Object.keys(this.read()).length > 0) }

  async save() {
    await this.troubles.attempt(this.submit, async () => {
      const typed = this.read()
      if (this.saved && !Object.keys(typed).length) return this.close()
      if (!(this.name.typed ?? '').trim()) throw this.makeMissing()
      const { body } = this.saved ? await this.change(typed) : await this.create(typed)
      this.page = null
      const isNew = !this.saved
      const done = () => this.tell('di-saved', { ...body.integration, isNew })
      if (body.generated) return drawGenerated(this, body.generated, done)
      done()
      this.close()
    })
  }

  /** Without a name nothing else is looked at by the server: all that is empty is said at once. */
  makeMissing() {
    return new Problem({ status: 422, detail: say('fillIn'), errors: ['name', ...this.form.listMissing()].map((field) => ({ field, message: say('fillIn') })) })
  }

  create({ name = '', config = {} }) {
    const body = { organization_id: this.organization, integration_type: this.type, name, config }
    const text = JSON.stringify(body)
    if (this.sent !== text) Object.assign(this, { sent: text, key: newKey() })
    return call(this.client, 'POST', 'integrations', body, { 'Idempotency-Key': this.key })
  }

  change(typed) { return call(this.client, 'PATCH', this.path, typed, this.condition) }

  /** What there is to compare of a saved one. */
  list({ name, status, config }) { return { name, status, ...config } }

  close() {
    this.trial?.stop()
    super.close()
  }
}

define('device-integration-dialog', IntegrationDialog)
