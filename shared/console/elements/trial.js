/** The connection test: of the form as it stands, saved or not; each step is shown as it ends. */

import { Problem } from './api.js'
import { call, h, say, sayNumber } from './kit.js'

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
    const { saved, path, organization, type, form } = this.dialog
    const config = form.read()
    if (saved) return [`${path}/test`, Object.keys(config).length ? { config } : undefined]
    return ['integrations/test', { organization_id: organization, integration_type: type, config }]
  }
}

/** A step of a test: what was done, what was seen, how long it took. */
export const drawStep = ({ name, ok, detail, ms }) =>
  h('li', {}, h('b', { class: ok ? 'is-good' : 'is-bad' }, `${ok ? '✓' : '✗'} ${name}`), h('span', {}, detail), h('small', {}, `${sayNumber(Math.round(ms))} ms`))

/** Each event of a call that answers with server-sent events, as it comes; of a server without them, those in its one answer. */
export async function* stream(client, path, body) {
  const { body: answer } = await call(client, 'POST', path, body, { Accept: 'text/event-stream' })
  if (!(answer instanceof Response)) return yield* answer.checks
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let [rest, isWhole] = ['', false]
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const blocks = (rest + value).split(/\r?\n\r?\n/)
    rest = blocks.pop()
    for (const event of blocks.map(readEvent).filter(Boolean)) {
      if (event.name) yield event
      else isWhole = true // The last one is the whole answer.
    }
  }
  if (!isWhole) throw new Error('The answer was cut off.')
}

function readEvent(block) {
  const fields = block.split(/\r?\n/).map((line) => line.match(/^(\w+): ?(.*)$/)).filter(Boolean)
  const data = fields.filter(([, name]) => name === 'data').map(([, , value]) => value).join('\n')
  if (!data) return null
  const event = JSON.parse(data)
  if (fields.some(([, name, value]) => name === 'event' && value === 'problem')) throw new Problem(event)
  return event
}
