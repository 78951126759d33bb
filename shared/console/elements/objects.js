/** A field that is an object with fields of its own, such as a filter: each of them as any other field. */

import { h } from './dom.js'
import { Field } from './field.js'
import { readFields } from './schema.js'

/** The field for a description: a single control, or an object's. */
export function makeField(field, value, secrets) {
  const own = secrets.filter((name) => name === field.name || name.startsWith(`${field.name}.`))
  return field.kind === 'object' ? new ObjectField(field, value, own) : new Field(field, value ?? undefined, own)
}

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
