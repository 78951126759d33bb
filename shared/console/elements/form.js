/** A form made of a JSON Schema: groups, fields that appear when they apply, errors where they belong. */

import { makeField } from './objects.js'
import { h, say } from './kit.js'
import { holds, readForm } from './schema.js'

export class Form {
  constructor(schema, config = {}, secrets = [], lists = {}) {
    this.fields = new Map()
    this.groups = readForm(schema, lists).map((group) => this.makeGroup(group, config, secrets))
    const refresh = () => this.refresh()
    this.element = h('div', { class: 'form', input: refresh, change: refresh }, this.groups.map((group) => group.element))
    this.refresh()
  }

  makeGroup(group, config, secrets) {
    const fields = group.fields.map((field) => makeField(field, config[field.name], secrets))
    fields.forEach((field) => this.fields.set(field.field.name, field))
    const inUse = fields.some((field) => field.value !== undefined || field.isSet)
    const inside = h('div', { class: 'fields' }, fields.map((field) => field.element))
    const title = group.title === 'More' ? say('more') : group.title
    const element = group.open
      ? h('fieldset', {}, title && h('legend', {}, title), inside)
      : h('details', { class: 'group', open: inUse }, h('summary', {}, title), inside)
    return { ...group, fields, element }
  }

  /** Show what applies. What holds a value or an error always stays in sight: hiding it would hide why saving fails. */
  refresh() {
    const now = Object.fromEntries([...this.fields].map(([name, field]) => [name, field.current]))
    for (const group of this.groups) {
      group.fields.forEach((field) => { field.element.hidden = !((holds(field.field.when, now) && field.field.kind !== 'shown') || field.isHoldingSomething) })
      const isUsed = group.fields.some((field) => field.isHoldingSomething)
      group.element.hidden = group.fields.every((field) => field.element.hidden) || !(holds(group.when, now) || isUsed)
    }
  }

  /** A JSON Merge Patch: only what was changed; null removes. */
  read() {
    return Object.fromEntries([...this.fields].map(([name, field]) => [name, field.read()]).filter(([, value]) => value !== undefined))
  }

  /** Put each error at its field; returns `[{message, field}]`, `field` null where the form has none of that name. */
  show(errors) {
    this.fields.forEach((field) => field.show(null))
    const shown = errors.map(({ field: path, message }) => ({ path, message: this.phrase(message), field: this.find(path) }))
    const texts = new Map()
    shown.filter((each) => each.field).forEach(({ field, message }) => texts.set(field, [texts.get(field), message].filter(Boolean).join(' ')))
    texts.forEach((text, field) => field.show(text))
    this.groups.filter((group) => group.fields.some((field) => !field.error.hidden)).forEach((group) => { group.element.open = true })
    this.refresh()
    return shown
  }

  /** A message of the API as a sentence: it names fields as programs know them, people know their titles. */
  phrase(message) {
    const text = message.replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => (this.fields.has(name) ? `“${this.titleOf(name)}”` : name))
    return text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}` : text
  }

  /** The required fields that nobody has filled in. */
  listMissing() {
    return [...this.fields.values()].filter((field) => field.field.required && field.current == null).map(({ field }) => field.name)
  }

  titleOf(name) { return this.fields.get(name)?.field.title ?? name }

  find(path) {
    const [name, ...rest] = path.replace(/^config\./, '').split('.')
    return this.fields.get(name)?.find(rest) ?? null
  }
}

/** A small form beside what is shown: kept over redraws, so that what is being typed stays. */
export class Question {
  constructor(schema, submit, ...buttons) {
    this.form = new Form(schema)
    const send = (event) => { event.preventDefault(); submit() }
    this.element = h('form', { novalidate: true, 'data-key': 'question', submit: send }, this.form.element, h('div', { class: 'bar' }, buttons))
  }

  get isDirty() { return Object.keys(this.form.read()).length > 0 }

  /** Has `send` send what was typed; what is wrong with it stands at its fields too. */
  async put(send) {
    try {
      await send(this.form.read())
    } catch (error) {
      this.form.show(error.document?.errors ?? [])
      throw error
    }
  }
}
