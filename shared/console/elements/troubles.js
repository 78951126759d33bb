/** What went wrong, above the form and at its fields; nothing that was typed is touched. */

import { asProblem, call } from './api.js'
import { h } from './dom.js'
import { explain } from './element.js'
import { say } from './language.js'
import { button } from './parts.js'

export class Troubles {
  constructor(dialog) {
    this.dialog = dialog
    this.element = h('div', { role: 'alert', tabindex: '-1', class: 'summary', hidden: true })
  }

  /** Carries out `work`; what goes wrong is told at the fields and above the form. Whether it went well. */
  async attempt(button, work) {
    if (button?.hasAttribute('aria-busy')) return false
    button?.setAttribute('aria-busy', 'true')
    clearInterval(this.countdown)
    try {
      await work()
      if (this.dialog.page) this.clear()
      return true
    } catch (error) {
      this.explain(asProblem(error).document)
      return false
    } finally {
      button?.removeAttribute('aria-busy')
    }
  }

  clear() {
    this.problem = null
    this.element.hidden = true
    this.dialog.name.show(null)
    this.dialog.form.show([])
  }

  explain(document) {
    const { status, code, detail, errors, waits, request_id: reference } = document
    const { name, form } = this.dialog
    this.problem = document
    if (status === 401) this.dialog.tell('di-unauthenticated')
    name.show(null)
    const isOfName = ({ field }) => field === 'name' || field.startsWith('name.')
    const named = [...errors.filter(isOfName), ...(status === 409 && code === 'conflict' && !errors.length ? [{ message: detail }] : [])]
    named.forEach(({ message }) => name.show(form.phrase(message)))
    const found = [...named.map(({ message }) => ({ message: form.phrase(message), field: name })), ...form.show(errors.filter((each) => !isOfName(each)))]
    const lead = h('strong', {}, found.length ? say('fix', { count: found.length }) : status === 412 ? say('changedMeanwhile') : explain(document))
    const items = found.map(({ field, path, message }) => h('li', {}, field ? h('button', { type: 'button', class: 'link', click: () => field.focus() }, field.field.title) : path, `: ${message}`))
    const isOurs = reference && (status >= 500 || !found.length)
    this.element.replaceChildren(...[lead, items.length && h('ul', {}, items), isOurs && h('small', {}, say('reference', { id: reference }))].filter(Boolean))
    this.element.hidden = false
    if (status === 412) this.compare()
    if (status === 429 && waits) this.count(lead, waits)
    const first = found.find(({ field }) => field)?.field ?? this.element
    first.focus()
  }

  /** Says the seconds until another try makes sense. */
  count(lead, seconds) {
    const ends = Date.now() + seconds * 1000
    this.countdown = setInterval(() => {
      const left = Math.ceil((ends - Date.now()) / 1000)
      lead.textContent = left > 0 ? say('tooMany', { seconds: left }) : say('tryNow')
      if (left <= 0 || !this.element.isConnected) clearInterval(this.countdown)
    }, 1000)
  }

  /** Somebody else saved: which fields differ now, and whose values shall count. */
  async compare() {
    const { dialog } = this
    const before = dialog.saved
    const place = h('div')
    this.element.append(place)
    try {
      const { body: { [dialog.noun]: theirs }, etag } = await call(dialog.client, 'GET', dialog.path)
      const titles = listChanges(dialog.list(before), dialog.list(theirs)).map((name) => dialog.form.titleOf(name))
      const keep = () => { dialog.etag = etag; dialog.save() }
      const show = () => { Object.assign(dialog, { saved: theirs, etag }); dialog.drawForm() }
      place.append(titles.length ? h('p', {}, say('theyChanged', { names: titles.join(', ') })) : '',
        button('loadTheirs', show), ' ', button('saveOver', keep))
    } catch (error) {
      place.append(h('p', {}, explain(asProblem(error).document)))
    }
  }
}

function listChanges(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}
