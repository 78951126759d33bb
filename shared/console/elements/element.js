/** A screen or a part of one: reads, draws, keeps fresh, carries out what somebody asks for and says what came of it. */

import { rows } from './api.js'
import { h, load, patch } from './dom.js'
import { Hosted } from './hosted.js'
import { say, sayAge } from './language.js'
import { button, drawReference, explain, note } from './parts.js'
import { watch } from './watch.js'

/** Shows what `read()` answers, as `render(data)` draws it, and asks again after `seconds` or once one of `tables` changes. */
export class Element extends Hosted {
  seconds = 5
  tables = []
  failed = 'loadFailed'
  turn = 0

  get filter() { return `organization_id=eq.${this.organization}` }

  begin() {
    Object.assign(this, { data: undefined, problem: null, message: null })
    this.prepare?.()
    this.redraw()
    this.stop = watch(this.client, () => this.refresh(), this)
  }

  /** A read of the rows of this organization, and of this integration and device where it is about one; with the values of `wanted` that are not empty. */
  query(name, columns, { count, ...wanted } = {}) {
    const narrowed = [['organization_id', this.organization], ['integration_id', this.integration], ['device_id', this.device], ...Object.entries(wanted)].filter(([, value]) => value)
    return narrowed.reduce((query, [column, value]) => query.eq(column, value), this.client.from(name).select(columns, count ? { count } : {}))
  }

  /** The names of what rows refer to by `column`, by their id: a `Map`. Those that are gone have none. */
  async readNames(table, column, found) {
    const ids = [...new Set(found.map((each) => each[column]))].filter(Boolean)
    return new Map(ids.length ? (await rows(this.client.from(table).select('id,name').in('id', ids))).map(({ id, name }) => [id, name]) : [])
  }

  child(name, more) { return h(name, { client: this.given, 'organization-id': this.organization, 'integration-id': this.integration, ...more }) }

  headline(word) { return this.getAttribute('heading') ?? say(word) }

  /** A dialog beside what is shown, made when it is first needed, with listeners for what it tells. */
  async openDialog(name, listeners) {
    if (!(await load(name))) return void this.act(() => { throw new Error() })
    this.dialog ??= h(name, { client: this.given, ...listeners })
    this.dialog.setAttribute('organization-id', this.organization)
    if (!this.dialog.isConnected) this.shadowRoot.append(this.dialog)
    return this.dialog
  }

  async refresh() {
    const turn = ++this.turn
    try {
      const data = await this.read()
      if (turn !== this.turn) return
      Object.assign(this, { data, problem: null, readAt: Date.now() })
    } catch (error) {
      if (turn !== this.turn) return
      this.problem = this.hear(error)
    }
    this.redraw()
  }

  redraw() {
    if (!this.isConnected) return
    try {
      const body = this.data === undefined ? (this.problem ? null : note('pad quiet', say('loading'))) : this.render(this.data)
      this.draw(this.renderNotes(), body)
    } catch (error) { // What nobody thought of is said, and asked for again, as what can't be read.
      Object.assign(this, { data: undefined, problem: { status: -1, detail: error.message } })
      this.draw(this.renderNotes())
    }
  }

  renderNotes() {
    const { problem, message } = this
    const lead = () => (this.data === undefined ? say(this.failed) : say('stale', { age: sayAge(this.readAt) }))
    return h('div', { role: 'status', class: 'notes', 'data-key': 'notes' },
      problem && h('div', { class: 'summary' }, h('strong', {}, lead()), h('p', {}, explain(problem)), drawReference(problem.request_id), button('retry', () => this.refresh())),
      message && note(message.problem ? 'summary' : 'done', message.text, ' ', drawReference(message.problem?.request_id)))
  }

  /** Carries out what somebody asked for, says what came of it, and shows how things stand then. */
  async act(work, done) {
    this.message = null
    try {
      const answer = await work()
      if (done) this.message = { text: typeof done === 'function' ? done(answer) : done }
    } catch (error) {
      const problem = this.hear(error)
      this.message = { text: explain(problem), problem }
    }
    await this.refresh()
  }

  draw(...children) {
    const focused = this.shadowRoot.activeElement
    patch(this.view, ...children)
    if (focused?.isConnected && this.shadowRoot.activeElement !== focused) focused.focus()
  }
}
