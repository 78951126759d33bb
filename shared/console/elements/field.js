/** A labelled control, or several for what is in an object: what each shows, what it holds, what is wrong with it. */

import { KINDS, diffPairs } from './controls.js'
import { h, nextId, say } from './kit.js'
import './more.js'
import { readFields } from './schema.js'

/** What is offered first, by the type of what a field holds. */
const PICKED = { 'application/x-pem-file': '.pem,.crt,.cer,.key', 'text/javascript': '.js,.mjs,.txt' }

/** The field for a description: a single control, or an object's. `secrets` are the names of those that are set. */
export function makeField(field, value, secrets = []) {
  const own = secrets.filter((name) => name === field.name || name.startsWith(`${field.name}.`))
  return field.kind === 'object' ? new ObjectField(field, value, own) : new Field(field, value ?? undefined, own)
}

/** A field on the page: `element`, `read()`, `show(message)`, `focus()`. Secrets that are set can be kept, replaced or removed. */
class Field {
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

/** A field that is an object with fields of its own, such as a filter: each of them as any other field. */
class ObjectField {
  constructor(field, value, secrets) {
    Object.assign(this, { field, value: value ?? undefined, isSet: secrets.length > 0 })
    const inside = secrets.map((name) => name.slice(field.name.length + 1))
    this.inner = readFields(field.core, field.root).map((each) => makeField(each, value?.[each.name], inside))
    this.element = h('fieldset', { class: 'field object', 'data-field': field.name }, h('legend', {}, field.title),
      field.help && h('p', { class: 'help' }, field.help), h('div', { class: 'fields' }, this.inner.map((each) => each.element)))
  }

  get current() { return this.value ?? null }
  get error() { return { hidden: this.inner.every((each) => each.error.hidden) } }
  get isHoldingSomething() { return this.inner.some((each) => each.isHoldingSomething) }

  /** The merge patch: null where all that was in it is gone. */
  read() {
    const patch = Object.fromEntries(this.inner.map((each) => [each.field.name, each.read()]).filter(([, value]) => value !== undefined))
    if (!Object.keys(patch).length) return undefined
    const isGone = this.value && this.inner.every((each) => each.typed === undefined && each.read() !== undefined || each.value === undefined && each.read() === undefined)
    return isGone ? null : patch
  }

  get typed() { return this.inner.some((each) => each.typed !== undefined) || undefined }

  show(message) {
    this.inner.forEach((each) => each.show(null))
    if (message) this.inner[0]?.show(message)
  }

  /** The field that an error's path leads to. */
  find([name, ...rest]) { return this.inner.find((each) => each.field.name === name)?.find(rest) ?? this }

  focus() { this.inner[0]?.focus() }
}
