/** A labelled control: what it shows, what it holds, what is wrong with it. */

import { KINDS, diffPairs } from './controls.js'
import { h, nextId, say } from './kit.js'
import './more.js'

/** What is offered first, by the type of what a field holds. */
const PICKED = { 'application/x-pem-file': '.pem,.crt,.cer,.key', 'text/javascript': '.js,.mjs,.txt', 'application/graphql': '.graphql,.gql,.txt' }

/** A field on the page: `element`, `read()`, `show(message)`, `focus()`. Secrets that are set can be kept, replaced or removed. */
export class Field {
  constructor(field, value, secrets = []) {
    const isSet = secrets.length > 0
    const names = secrets.map((name) => name.slice(field.name.length + 1)).filter(Boolean)
    Object.assign(this, { field, value, isSet, names, id: nextId(field.name), state: isSet && field.kind === 'secret' ? 'set' : 'typed' })
    this.error = h('p', { class: 'wrong', id: `${this.id}-e`, hidden: true })
    this.help = h('p', { class: 'help', id: `${this.id}-h`, hidden: !this.helpText }, this.helpText)
    this.box = h('div', { class: 'control' })
    const tag = ['pairs', 'several'].includes(field.kind) ? 'b' : 'label'
    const label = h(tag, tag === 'label' ? { for: this.id } : {}, field.title, field.required && h('span', { class: 'mark' }, ` (${say('required')})`))
    const parts = field.kind === 'switch' ? [h('div', { class: 'row' }, this.box, label)] : [label, this.box]
    this.element = h('div', { class: `field kind-${field.kind}`, 'data-field': field.name }, parts, this.help, this.error)
    this.draw()
  }

  get kind() { return KINDS[this.field.kind] }

  get helpText() {
    const more = { list: say('oneLine'), numbers: say('oneLine'), json: say('asJson') }
    return [this.field.help, more[this.field.kind]].filter(Boolean).join(' ')
  }

  draw() {
    const described = [this.help.hidden ? '' : this.help.id, this.error.id].filter(Boolean).join(' ')
    const attributes = { id: this.id, name: this.field.name, 'aria-describedby': described, 'aria-required': this.field.required && 'true' }
    this.input = this.kind.make(this.field, this.value, attributes, this.names)
    this.box.replaceChildren(...{ typed: () => this.drawTyped(), set: () => this.drawSet(), removed: () => this.drawRemoved() }[this.state]().filter(Boolean))
  }

  drawTyped() {
    const { lines, unit, kind } = this.field
    return [this.input, unit && h('span', { class: 'unit' }, unit), lines && this.makePicker(), this.isSet && kind === 'secret' && this.button('keep', 'set')]
  }

  drawSet() {
    return [h('span', { class: 'set' }, say('secretSet')), this.button('replace', 'typed'), !this.field.required && this.button('remove', 'removed')]
  }

  drawRemoved() {
    return [h('span', { class: 'set' }, say('removed')), this.button('undo', 'set')]
  }

  button(word, state) {
    const press = () => {
      this.state = state
      this.draw()
      this.focus()
      this.element.dispatchEvent(new Event('change', { bubbles: true }))
    }
    return h('button', { type: 'button', class: 'quiet', 'aria-label': `${say(word)}: ${this.field.title}`, click: press }, say(word))
  }

  /** A file fills the text. */
  makePicker() {
    const take = async (event) => {
      this.input.value = (await event.target.files[0]?.text()) ?? ''
      this.input.dispatchEvent(new Event('input', { bubbles: true }))
    }
    return h('label', { class: 'quiet file' }, say('fromFile'), h('input', { type: 'file', accept: PICKED[this.field.lines], 'aria-label': `${say('fromFile')} ${this.field.title}`, change: take }))
  }

  get typed() { return this.kind.read(this.input, this.field) }

  /** What to send: undefined for no change, null to remove. */
  read() {
    if (this.state === 'removed') return null
    if (this.state === 'set') return undefined
    const now = this.typed
    if (this.field.kind === 'secret' || this.field.kind === 'shown') return now
    if (this.field.kind === 'pairs') return diffPairs(this.input, this.value, this.names)
    return same(now, this.value) || this.isDefaultKept(now) ? undefined : now ?? (this.value === undefined ? undefined : null)
  }

  /** A switch that stands at its default, saved so: the same as one left alone. */
  isDefaultKept(now) { return this.field.kind === 'switch' && now === undefined && this.value === (this.field.fallback ?? false) }

  /** What the form holds now, for conditions; of a secret only whether there is one. */
  get current() {
    if (this.field.kind === 'secret') return this.state === 'set' || (this.state === 'typed' && this.typed !== undefined) ? true : null
    return this.typed ?? this.field.fallback ?? null
  }

  get isHoldingSomething() { return this.value !== undefined || this.isSet || !this.error.hidden || this.read() !== undefined }

  show(message) {
    this.error.textContent = message ?? ''
    this.error.hidden = !message
    const target = this.input.matches('[role=group]') ? this.input.querySelector('input') : this.input
    if (message) target.setAttribute('aria-invalid', 'true')
    else this.element.querySelectorAll('[aria-invalid]').forEach((each) => each.removeAttribute('aria-invalid'))
  }

  find() { return this }

  focus() { (this.box.querySelector('input:not([type=file]), select, textarea') ?? this.box.querySelector('button'))?.focus() }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other)
