/** What all our dialogs share: one thing, new or saved, in a form; and that nothing typed there is lost unasked. */

import { Problem } from './api.js'
import { drawRemoval } from './dialog-pages.js'
import { makeField } from './objects.js'
import { Hosted } from './hosted.js'
import { button, drawReference, explain, gap, h, nextId, ready, say } from './kit.js'
import { Troubles } from './troubles.js'

/** A dialog has a `noun`, the `path` of what is saved, `start()` to draw its first page, `read()` for what was typed, `create()` and `finish()`. */
export class Dialog extends Hosted {
  /** A dialog asks in itself. */
  guard = (event) => { if (this.isDirty) { event.preventDefault(); this.leave() } }

  begin() {}

  /** Open for a new one (`{}` or `{type}`) or a saved one (`{id}`). */
  async open({ id = null, type } = {}) {
    await ready()
    Object.assign(this, { id, chosen: type, etag: null, saved: null, page: null, locked: false, sent: null })
    this.unfold()
    try {
      const [isAdmin] = await Promise.all([this.may('admin'), id && this.load(), this.prepare?.()])
      this.isAdmin = isAdmin
      this.drawFirst()
    } catch (error) {
      const problem = this.hear(error)
      this.fill(say('failure'), [h('p', { role: 'alert' }, explain(problem)), drawReference(problem.request_id)], [gap(), button('close', () => this.close())])
    }
  }

  async load() {
    const { body, etag } = await this.call('GET', this.path)
    Object.assign(this, { saved: body[this.noun], etag })
  }

  unfold() {
    this.dialog = h('dialog', {
      'aria-labelledby': 'title', closedby: 'none', cancel: (event) => { event.preventDefault(); this.leave() }, close: () => this.tell('di-closed'), keydown: (event) => this.press(event),
    }, h('header', {}, h('h2', { id: 'title', tabindex: '-1' }, say('loading'))))
    this.shadowRoot.replaceChildren(this.dialog)
    this.dialog.showModal()
  }

  press(event) {
    if (event.key === 'Escape' && !event.defaultPrevented) { event.preventDefault(); this.leave() }
    if (event.key === 'Enter' && event.ctrlKey && this.page?.isConnected) { event.preventDefault(); this.page.requestSubmit() }
  }

  /** The form: its name, `parts`, and what may be done with it; `lead` stands above. */
  compose(title, parts, { lead, help, test }) {
    const { saved, isAdmin } = this
    this.name = makeField({ name: 'name', kind: 'text', core: {}, required: true, labels: {}, title: say('name'), help }, saved?.name)
    this.troubles = new Troubles(this)
    const saving = (event) => { event.preventDefault(); this.save() }
    this.page = h('form', { id: nextId('form'), novalidate: true, submit: saving, input: () => this.asked?.remove() }, this.troubles.element, this.name.element, parts)
    this.submit = h('button', { type: 'submit', form: this.page.id, class: 'primary' }, say('save'))
    this.shown = [saved?.name ?? title, [lead, this.page], [test, saved && isAdmin && button('deleteOne', () => drawRemoval(this), 'danger'), gap(), button(isAdmin ? 'cancel' : 'close', () => this.leave()), isAdmin && this.submit]]
    this.drawAgain()
    if (!isAdmin) this.page.querySelectorAll('input, select, textarea, button').forEach((each) => { each.disabled = true })
  }

  /** The form with all that was typed, after something else stood in its place. */
  drawAgain() {
    this.fill(...this.shown)
    if (this.isAdmin) this.name.focus()
  }

  fill(title, body, actions) {
    const close = h('button', { type: 'button', class: 'quiet', 'aria-label': say('close'), click: () => this.leave() }, '✕')
    this.footer = h('footer', {}, actions)
    this.dialog.replaceChildren(h('header', {}, h('h2', { id: 'title', tabindex: '-1' }, title), !this.locked && close), h('div', { class: 'body' }, body), this.footer)
    if (!this.dialog.contains(this.shadowRoot.activeElement)) this.shadowRoot.getElementById('title').focus()
  }

  readName() {
    const name = this.name.read()
    return name === undefined ? {} : { name: name ?? '' }
  }

  get isDirty() { return this.locked || (Boolean(this.page) && Object.keys(this.read()).length > 0) }

  /** Of a saved one only what differs is sent, together with `more`. */
  save(more) {
    return this.troubles.attempt(this.submit, async () => {
      const typed = this.read()
      if (this.saved && !Object.keys(typed).length) return this.close()
      // Without a name nothing else is looked at by the server: all that is empty is said at once.
      if (!(this.name.typed ?? '').trim()) throw new Problem({ status: 422, detail: say('fillIn'), errors: ['name', ...this.form.listMissing()].map((field) => ({ field, message: say('fillIn') })) })
      const { body } = this.saved ? await this.call('PATCH', this.path, { ...typed, ...more }, this.condition) : await this.create({ ...typed, ...more })
      this.page = null
      this.finish(body)
    })
  }

  /** What a change or a removal is bound to: what was read. */
  get condition() { return this.etag ? { 'If-Match': this.etag } : {} }

  /** Closes, unless something typed would be lost: then asks first. */
  leave() {
    if (this.locked) return
    if (!this.isDirty || !this.isAdmin) return this.close()
    this.asked?.remove()
    const stay = button('goOn', () => { this.asked.remove(); this.name.focus() })
    this.asked = h('div', { class: 'summary warning', role: 'alert' }, h('strong', {}, say('notSaved')), ' ', stay, ' ', button('throwAway', () => this.close(), 'danger'))
    this.footer.before(this.asked)
    stay.focus()
  }

  close() {
    Object.assign(this, { page: null, locked: false, sent: null })
    this.dialog.close()
    this.shadowRoot.replaceChildren()
  }
}
