/** Fields with others inside, such as a filter or those who are told: each of them as any other field. */

import { Field } from './field.js'
import { button, h, note, say } from './kit.js'
import { readFields } from './schema.js'

/** The field for a description: a single control, or those of what is inside. `secrets` are the names of those that are set. */
export function makeField(field, value, secrets = []) {
  const own = secrets.filter((name) => name === field.name || name.startsWith(`${field.name}.`))
  return new ({ object: ObjectField, objects: ListField }[field.kind] ?? Field)(field, value ?? undefined, own)
}

/** A field that is an object with fields of its own, such as a filter: each of them as any other field. */
class ObjectField {
  constructor(field, value, secrets = []) {
    Object.assign(this, { field, value, isSet: secrets.length > 0 })
    const inside = secrets.map((name) => name.slice(field.name.length + 1))
    this.inner = readFields(field.core, field.root).map((each) => makeField(each, value?.[each.name], inside))
    this.element = h('fieldset', { class: 'field object', 'data-field': field.name }, h('legend', {}, field.title),
      field.help && note('help', field.help), h('div', { class: 'fields' }, this.inner.map((each) => each.element)))
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

  /** All that is in it now. */
  get typed() {
    const filled = this.inner.map((each) => [each.field.name, each.typed]).filter(([, value]) => value !== undefined)
    return filled.length ? Object.fromEntries(filled) : undefined
  }

  show(message) {
    this.inner.forEach((each) => each.show(null))
    if (message) this.inner[0]?.show(message)
  }

  /** The field that an error's path leads to. */
  find([name, ...rest]) { return this.inner.find((each) => each.field.name === name)?.find(rest) ?? this }

  focus() { this.inner[0]?.focus() }
}

/** A field that is a list of such objects: the fields of each, and a button for another. */
class ListField {
  constructor(field, value) {
    Object.assign(this, { field, value, items: [], isSet: false, error: h('p', { class: 'wrong', hidden: true }), place: h('div', { class: 'fields' }) })
    if (value) value.forEach((each) => this.add(each))
    else if (field.required) this.add()
    this.before = JSON.stringify(this.typed)
    const more = button('addOne', () => { this.add(); this.changed(); this.items.at(-1).focus() })
    this.element = h('fieldset', { class: 'field kind-objects', 'data-field': field.name }, h('legend', {}, field.title, field.required && h('span', { class: 'mark' }, ` (${say('required')})`)),
      field.help && note('help', field.help), this.place, this.error, more)
  }

  add(value) {
    const title = `${this.field.title} ${this.items.length + 1}`
    const item = new ObjectField({ ...this.field, core: this.field.items, title, help: '' }, value)
    const drop = () => { this.items = this.items.filter((each) => each !== item); item.element.remove(); this.changed(); this.focus() }
    item.element.append(button('remove', drop, 'quiet', { 'aria-label': say('removeOne', { name: title }) }))
    this.items.push(item)
    this.place.append(item.element)
  }

  changed() { this.place.dispatchEvent(new Event('input', { bubbles: true })) }

  get typed() { return this.items.length ? this.items.map((each) => each.typed ?? {}) : undefined }
  get current() { return this.items.some((each) => each.typed) ? this.typed : null }
  get isHoldingSomething() { return this.items.length > 0 || !this.error.hidden || this.read() !== undefined }

  /** A list is replaced as a whole. */
  read() { return JSON.stringify(this.typed) === this.before ? undefined : this.typed ?? null }

  show(message) {
    this.items.forEach((each) => each.show(null))
    Object.assign(this.error, { textContent: message ?? '', hidden: !message })
  }

  find([at, ...rest]) { return this.items[at]?.find(rest) ?? this }

  focus() { (this.items[0] ?? this.element.querySelector('button')).focus() }
}
