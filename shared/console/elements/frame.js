/** What all our dialogs share: what stands in them, and that nothing typed there is lost unasked. */

import { h } from './dom.js'
import { Element, explain } from './element.js'
import { say } from './language.js'

/** A dialog with a `name` to begin with, a `page` that is sent, and `isDirty` while something typed would be lost. */
export class Dialog extends Element {
  /** A dialog asks in itself. */
  guard = (event) => { if (this.isDirty) { event.preventDefault(); this.leave() } }

  begin() {}

  unfold() {
    this.dialog = h('dialog', {
      'aria-labelledby': 'title', closedby: 'none', cancel: (event) => { event.preventDefault(); this.leave() }, close: () => this.tell('di-closed'),
      keydown: (event) => this.press(event),
    }, h('header', {}, h('h2', { id: 'title', tabindex: '-1' }, say('loading'))))
    this.shadowRoot.replaceChildren(this.dialog)
    this.dialog.showModal()
  }

  press(event) {
    if (event.key === 'Escape' && !event.defaultPrevented) { event.preventDefault(); this.leave() }
    if (event.key === 'Enter' && event.ctrlKey && this.page?.isConnected) { event.preventDefault(); this.page.requestSubmit() }
  }

  /** The form with all that was typed, after something else stood in its place. */
  drawAgain() {
    this.fill(...this.shown)
    if (this.isAdmin) this.name.focus()
  }

  fill(title, body, actions) {
    const close = h('button', { type: 'button', class: 'quiet', 'aria-label': say('close'), click: () => this.leave() }, '✕')
    this.footer = h('footer', {}, [actions].flat().filter(Boolean))
    this.dialog.replaceChildren(h('header', {}, h('h2', { id: 'title', tabindex: '-1' }, title), !this.locked && close), h('div', { class: 'body' }, body), this.footer)
    if (!this.dialog.contains(this.shadowRoot.activeElement)) this.shadowRoot.getElementById('title').focus()
  }

  button(word, press, kind = '') { return h('button', { type: 'button', class: kind, click: press }, say(word)) }

  /** Closes, unless something typed would be lost: then asks first. */
  leave() {
    if (this.locked) return
    if (!this.isDirty || !this.isAdmin) return this.close()
    this.asked?.remove()
    const stay = this.button('goOn', () => { this.asked.remove(); this.name.focus() })
    this.asked = h('div', { class: 'summary warning', role: 'alert' }, h('strong', {}, say('notSaved')), ' ', stay, ' ', this.button('throwAway', () => this.close(), 'danger'))
    this.footer.before(this.asked)
    stay.focus()
  }

  close() {
    Object.assign(this, { page: null, locked: false, sent: null })
    this.dialog.close()
    this.shadowRoot.replaceChildren()
  }

  drawFailure(problem) {
    this.fill(say('failure'), [h('p', { role: 'alert' }, explain(problem)), problem.request_id && h('small', {}, say('reference', { id: problem.request_id }))], [h('span', { class: 'gap' }), this.button('close', () => this.close())])
  }

  /** What a change or a removal is bound to: what was read. */
  get condition() { return this.etag ? { 'If-Match': this.etag } : {} }
}
