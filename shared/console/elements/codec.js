/** `<codec-dialog>`: write a decoder, try it on what devices send, keep what came out as fixtures, save it. */

import { Problem } from './api.js'
import { Form } from './form.js'
import { Dialog } from './frame.js'
import { button, define, h, note, say, sayNumber } from './kit.js'
import { json } from './more.js'

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

define('codec-dialog', class extends Dialog {
  noun = 'codec'
  removal = ['codecGoes', 'codecStays']

  get path() { return `integrations/codecs/${this.id}` }

  drawFirst() { this.drawForm() }

  drawForm() {
    const { saved, isAdmin } = this
    this.fixtures = saved?.fixtures ?? []
    this.form = new Form(describeCodec(), { kind: saved?.kind, source: readSource(saved) })
    this.bodies = new Form(describeBodies())
    this.results = h('ol', { class: 'plain', 'aria-live': 'polite' })
    this.kept = h('ul', { class: 'plain' })
    this.drawFixtures()
    this.compose(say('addCodec'), [
      this.form.element, isAdmin && h('fieldset', {}, h('legend', {}, say('tryCodec')), this.bodies.element, h('div', { class: 'bar' }, button('tryIt', () => this.try())), this.results),
      h('fieldset', {}, h('legend', {}, say('fixtures')), note('help', say('fixturesHelp')), this.kept),
    ], {})
  }

  /** What is saved counts only once it is; what is in sight is tried. */
  try() {
    return this.troubles.attempt(null, async () => {
      const { kind, source, given } = this.readTrial()
      this.results.replaceChildren(h('li', { class: 'quiet' }, say('loading')))
      try {
        const { body } = await this.call('POST', 'integrations/codecs/test', { organization_id: this.organization, kind, source, bodies: given })
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
      errors.map((words) => note('wrong', words)), warnings.map((words) => note('is-warn', words)), ok && h('pre', {}, messages.map((message) => JSON.stringify(message, null, 2)).join('\n')))
  }

  drawFixtures() {
    const drop = (at) => { this.fixtures = this.fixtures.filter((_, place) => place !== at); this.drawFixtures() }
    const draw = (each, at) => h('li', { class: 'bar' }, h('code', {}, each.name ?? each.hex ?? each.base64 ?? each.text), 'data' in each && ['→', json(each.data)], this.isAdmin && button('remove', () => drop(at), 'quiet'))
    this.kept.replaceChildren(...(this.fixtures.length ? this.fixtures.map(draw) : [h('li', { class: 'quiet' }, say('noFixtures'))]))
  }

  read() {
    const { source, ...typed } = this.form.read()
    const isKept = JSON.stringify(this.fixtures) === JSON.stringify(this.saved?.fixtures ?? [])
    return { ...this.readName(), ...typed, ...(source !== undefined && { source: source ?? '' }), ...(!isKept && { fixtures: this.fixtures }) }
  }

  create(typed) { return this.call('POST', 'integrations/codecs', { organization_id: this.organization, ...typed }) }

  finish({ codec }) {
    this.tell('di-saved', codec)
    this.close()
  }

  async save(more) {
    await super.save(more)
    const isBroken = this.troubles.problem?.errors.some(({ field }) => field.startsWith('fixtures.'))
    if (this.page && isBroken) this.troubles.element.append(button('saveBroken', () => this.save({ force: true })))
  }

  list({ name, kind, source, fixtures }) { return { name, kind, source, fixtures } }
})
