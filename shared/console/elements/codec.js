/** `<codec-dialog>`: write a decoder, try it on what devices send, keep what came out as fixtures, save it. */

import { Problem, asProblem, call } from './api.js'
import { h, nextId } from './dom.js'
import { Field } from './field.js'
import { Form } from './form.js'
import { Dialog } from './frame.js'
import { ready, say, sayNumber } from './language.js'
import { define } from './load.js'
import { button, json } from './parts.js'
import { drawRemoval } from './removal.js'
import { Troubles } from './troubles.js'

const KINDS = { javascript: 'JavaScript', jmespath: 'JMESPath', cayenne_lpp: 'Cayenne LPP', senml: 'SenML', cbor: 'CBOR', msgpack: 'MessagePack', protobuf: 'Protocol Buffers', sparkplug_b: 'Sparkplug B' }
const EXAMPLE = 'function decodeUplink(input) {\n  return { data: { temperature: input.bytes[0] / 2 } };\n}'

const describeCodec = () => ({
  required: ['kind'],
  properties: {
    kind: { enum: Object.keys(KINDS), 'x-labels': KINDS, title: say('kind') },
    source: { type: 'string', contentMediaType: 'text/javascript', title: say('source'), description: say('sourceHelp'), examples: [EXAMPLE], 'x-rows': 14 },
  },
})
const describeBodies = () => ({
  properties: {
    bodies: { type: 'array', items: { type: 'string' }, title: say('bodies'), description: say('bodiesHelp'), examples: [['2b', '{"t": 21.5}']] },
    f_port: { type: 'integer', minimum: 0, maximum: 255, title: say('fPort') },
    topic: { type: 'string', title: say('topic') },
  },
})

/** A line as the API takes it: hex where it can be, unless it stands in quotes. */
const readBody = (line) => (/^([0-9a-f]{2}\s*)+$/i.test(line) ? { hex: line } : { text: /^".*"$/.test(line) ? line.slice(1, -1) : line })
/** As a text area holds it. */
const readSource = (codec) => codec?.source.replace(/\r\n?/g, '\n') || undefined

export class CodecDialog extends Dialog {
  noun = 'codec'

  get path() { return `integrations/codecs/${this.id}` }

  /** Open for a new one (`{}`) or a saved one (`{id}`). */
  async open({ id } = {}) {
    await ready()
    Object.assign(this, { id: id ?? null, etag: null, saved: null, page: null, locked: false })
    this.unfold()
    try {
      const [isAdmin, read] = await Promise.all([this.may('admin'), id && call(this.client, 'GET', this.path)])
      Object.assign(this, { isAdmin, saved: read?.body.codec ?? null, etag: read?.etag })
      this.drawForm()
    } catch (problem) {
      this.drawFailure(asProblem(problem).document)
    }
  }

  drawForm() {
    const { saved, isAdmin } = this
    this.fixtures = saved?.fixtures ?? []
    this.name = new Field({ name: 'name', kind: 'text', core: {}, required: true, labels: {}, title: say('name') }, saved?.name)
    this.form = new Form(describeCodec(), { kind: saved?.kind, source: readSource(saved) })
    this.bodies = new Form(describeBodies())
    this.troubles = new Troubles(this)
    this.results = h('ol', { class: 'plain', 'aria-live': 'polite' })
    this.kept = h('ul', { class: 'plain' })
    const saving = (event) => { event.preventDefault(); this.save() }
    const trial = isAdmin && h('fieldset', {}, h('legend', {}, say('tryCodec')), this.bodies.element, h('div', { class: 'bar' }, this.button('tryIt', () => this.try())), this.results)
    this.page = h('form', { id: nextId('form'), novalidate: true, submit: saving, input: () => this.asked?.remove() }, this.troubles.element, this.name.element, this.form.element, trial || [], h('fieldset', {}, h('legend', {}, say('fixtures')), h('p', { class: 'help' }, say('fixturesHelp')), this.kept))
    this.submit = h('button', { type: 'submit', form: this.page.id, class: 'primary' }, say('save'))
    this.shown = [saved?.name ?? say('addCodec'), this.page, [saved && isAdmin && this.button('deleteOne', () => drawRemoval(this, 'codecGoes', 'codecStays'), 'danger'), h('span', { class: 'gap' }), this.button(isAdmin ? 'cancel' : 'close', () => this.leave()), isAdmin && this.submit]]
    this.drawFixtures()
    this.drawAgain()
    if (!isAdmin) this.page.querySelectorAll('input, select, textarea, button').forEach((each) => { each.disabled = true })
  }

  /** What is saved counts only once it is; what is in sight is tried. */
  try() {
    return this.troubles.attempt(null, async () => {
      const { kind, source, given } = this.readTrial()
      this.results.replaceChildren(h('li', { class: 'quiet' }, say('loading')))
      try {
        const { body } = await call(this.client, 'POST', 'integrations/codecs/test', { organization_id: this.organization, kind, source, bodies: given })
        this.results.replaceChildren(...body.results.map((result, at) => this.drawResult(given[at], result)))
      } catch (problem) {
        this.results.replaceChildren()
        throw problem
      }
    })
  }

  readTrial() {
    const { bodies = [], f_port: port, topic } = this.bodies.read()
    if (!bodies.length) throw new Problem({ status: 422, detail: say('nothingToTry') })
    const given = bodies.map((line) => ({ ...readBody(line), ...(port !== undefined && { f_port: port }), ...(topic && { topic }) }))
    const [kind, source = ''] = ['kind', 'source'].map((name) => this.form.fields.get(name).typed)
    return { kind, source, given }
  }

  drawResult(body, { ok, data, messages, warnings, errors, us }) {
    const keep = () => { this.fixtures = [...this.fixtures, { ...body, data }]; this.drawFixtures() }
    return h('li', {}, h('div', { class: 'bar' }, h('b', { class: ok ? 'is-good' : 'is-bad' }, `${ok ? '✓' : '✗'} ${body.hex ?? body.text}`), h('small', {}, `${sayNumber(us)} µs`), ok && button('keepFixture', keep, 'quiet')),
      [...errors, ...warnings].map((words) => h('p', { class: errors.includes(words) ? 'wrong' : 'is-warn' }, words)), ok && h('pre', {}, messages.map((message) => JSON.stringify(message, null, 2)).join('\n')))
  }

  drawFixtures() {
    const drop = (at) => { this.fixtures = this.fixtures.filter((_, place) => place !== at); this.drawFixtures() }
    const draw = (each, at) => h('li', { class: 'bar' }, h('code', {}, each.name ?? each.hex ?? each.base64 ?? each.text), 'data' in each && ['→', json(each.data)], this.isAdmin && button('remove', () => drop(at), 'quiet'))
    this.kept.replaceChildren(...(this.fixtures.length ? this.fixtures.map(draw) : [h('li', { class: 'quiet' }, say('noFixtures'))]))
  }

  /** What was typed, as the API takes it; of a saved one only what differs. */
  read() {
    const [name, { source, ...typed }] = [this.name.read(), this.form.read()]
    const isKept = JSON.stringify(this.fixtures) === JSON.stringify(this.saved?.fixtures ?? [])
    return { ...(name === undefined ? {} : { name: name ?? '' }), ...typed, ...(source !== undefined && { source: source ?? '' }), ...(!isKept && { fixtures: this.fixtures }) }
  }

  get isDirty() { return Boolean(this.page) && Object.keys(this.read()).length > 0 }

  async save(more = {}) {
    await this.troubles.attempt(this.submit, async () => {
      const typed = this.read()
      if (this.saved && !Object.keys(typed).length) return this.close()
      const { body } = this.saved
        ? await call(this.client, 'PATCH', this.path, { ...typed, ...more }, this.condition)
        : await call(this.client, 'POST', 'integrations/codecs', { organization_id: this.organization, ...typed, ...more })
      this.page = null
      this.tell('di-saved', body.codec)
      this.close()
    })
    const isBroken = this.troubles.problem?.errors.some(({ field }) => field.startsWith('fixtures.'))
    if (this.page && isBroken) this.troubles.element.append(button('saveBroken', () => this.save({ force: true })))
  }

  list({ name, kind, source, fixtures }) { return { name, kind, source, fixtures } }
}

define('codec-dialog', CodecDialog)
