/** The connection test: of the form as it stands, saved or not; each step is shown as it ends. */

import { stream } from './api.js'
import { h } from './dom.js'
import { say, sayNumber } from './language.js'

export class Trial {
  constructor(dialog) {
    this.dialog = dialog
    this.element = h('div', { class: 'steps' })
  }

  stop() {
    clearInterval(this.tick)
    this.turn = null
  }

  async run() {
    this.stop()
    const turn = (this.turn = {})
    const note = h('p', { role: 'status' }, say('testing', { seconds: 0 }))
    const list = h('ol')
    const begun = Date.now()
    this.tick = setInterval(() => { note.textContent = say('testing', { seconds: Math.round((Date.now() - begun) / 1000) }) }, 1000)
    this.element.replaceChildren(note, list)
    note.scrollIntoView({ block: 'nearest' })
    const isDone = await this.dialog.troubles.attempt(null, () => this.follow(turn, note, list))
    if (this.turn !== turn) return
    this.stop()
    if (!isDone) this.element.replaceChildren()
  }

  async follow(turn, note, list) {
    const steps = []
    for await (const step of stream(this.dialog.client, ...this.describe())) {
      if (this.turn !== turn) return
      steps.push(step)
      list.append(drawStep(step))
      list.lastChild.scrollIntoView({ block: 'nearest' })
    }
    clearInterval(this.tick)
    const works = steps.length > 0 && steps.every((step) => step.ok)
    note.textContent = say(works ? 'works' : 'doesNotWork')
    note.className = works ? 'is-good' : 'is-bad'
  }

  /** Of a saved one only what was changed is sent: the rest, and its secrets, are those that are stored. */
  describe() {
    const { saved, id, organization, type, form } = this.dialog
    const config = form.read()
    if (saved) return [`integrations/${id}/test`, Object.keys(config).length ? { config } : undefined]
    return ['integrations/test', { organization_id: organization, integration_type: type, config }]
  }
}

/** A step of a test: what was done, what was seen, how long it took. */
export function drawStep({ name, ok, detail, ms }) {
  return h('li', {}, h('b', { class: ok ? 'is-good' : 'is-bad' }, `${ok ? '✓' : '✗'} ${name}`), h('span', {}, detail), h('small', {}, `${sayNumber(Math.round(ms))} ms`))
}
