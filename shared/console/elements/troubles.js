/** What went wrong, above the form and at its fields; nothing that was typed is touched. */

import { asProblem, button, drawReference, explain, h, link, say } from './kit.js'

export class Troubles {
  constructor(dialog) {
    this.dialog = dialog
    this.element = h('div', { role: 'alert', tabindex: '-1', class: 'summary', hidden: true })
  }

  /** Carries out `work`; what goes wrong is told at the fields and above the form. Whether it went well. */
  async attempt(pressed, work) {
    if (pressed?.hasAttribute('aria-busy')) return false
    pressed?.setAttribute('aria-busy', 'true')
    clearInterval(this.countdown)
    try {
      await work()
      if (this.dialog.page) this.clear()
      return true
    } catch (error) {
      this.explain(this.dialog.hear(error))
      return false
    } finally {
      pressed?.removeAttribute('aria-busy')
    }
  }

  clear() {
    this.problem = null
    this.element.hidden = true
    this.dialog.name.show(null)
    this.dialog.form.show([])
  }

  explain(problem) {
    const { status, waits, request_id: reference } = problem
    this.problem = problem
    const found = this.place(problem)
    const lead = h('strong', {}, found.length ? say('fix', { count: found.length }) : status === 412 ? say('changedMeanwhile') : explain(problem))
    const items = found.map(({ field, path, message }) => h('li', {}, field ? link(field.field.title, () => field.focus()) : path, `: ${message}`))
    this.element.replaceChildren(lead, items.length ? h('ul', {}, items) : '', (status >= 500 || !found.length) && drawReference(reference) || '')
    this.element.hidden = false
    if (status === 412) this.compare()
    if (status === 429 && waits) this.count(lead, waits)
    const first = found.find(({ field }) => field)?.field ?? this.element
    first.focus()
  }

  /** Each error at its field: `[{message, field}]`, the name's first. */
  place({ status, code, detail, errors }) {
    const { name, form } = this.dialog
    const isOfName = ({ field }) => field === 'name' || field.startsWith('name.')
    const isTaken = status === 409 && code === 'conflict' && !errors.length
    const named = [...errors.filter(isOfName), ...(isTaken ? [{ message: detail }] : [])].map(({ message }) => ({ message: form.phrase(message), field: name }))
    name.show(named.at(-1)?.message)
    return [...named, ...form.show(errors.filter((each) => !isOfName(each)))]
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
    const place = h('div')
    this.element.append(place)
    try {
      const { body: { [dialog.noun]: theirs }, etag } = await dialog.call('GET', dialog.path)
      const titles = listChanges(dialog.list(dialog.saved), dialog.list(theirs)).map((name) => dialog.form.titleOf(name))
      const keep = () => { dialog.etag = etag; dialog.save() }
      const show = () => { Object.assign(dialog, { saved: theirs, etag }); dialog.drawForm() }
      place.append(titles.length ? h('p', {}, say('theyChanged', { names: titles.join(', ') })) : '', button('loadTheirs', show), ' ', button('saveOver', keep))
    } catch (error) {
      place.append(h('p', {}, explain(asProblem(error).document)))
    }
  }
}

function listChanges(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
}
