/** The controls by kind: each makes the input for a field and its value, and reads it back; undefined means left empty. */

import { h, say } from './kit.js'

const PLAIN = { spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off' }

export const KINDS = {
  text: { make: (f, v, a) => h('input', { ...a, ...PLAIN, type: 'text', value: v, placeholder: hint(f) }), read: readText },
  lines: { make: (f, v, a) => h('textarea', { ...a, ...PLAIN, rows: f.rows, value: v, placeholder: hint(f), class: 'code' }), read: readText },
  list: { make: makeList, read: readList },
  numbers: { make: makeList, read: (input) => readList(input)?.map((each) => (Number.isFinite(Number(each)) ? Number(each) : each)) },
  // What is no number can't be read back, but the server says so, and it is not taken for nothing.
  number: { make: makeNumber, read: (input) => (input.validity.badInput ? '?' : input.value === '' ? undefined : Number(input.value)) },
  switch: { make: (f, v, a) => h('input', { ...a, type: 'checkbox', checked: v ?? f.fallback ?? false }), read: readSwitch },
  truth: { make: (f, v, a) => makeChoice(f, v, a, [true, false]), read: readChoice },
  choice: { make: (f, v, a) => makeChoice(f, v, a, f.choices), read: readChoice },
  several: { make: makeSeveral, read: readSeveral },
  pairs: { make: makePairs, read: readPairs },
  json: { make: makeJson, read: readJson },
  secret: { make: makeSecret, read: readText },
  shown: { make: (f, v, a) => h('input', { ...a, type: 'text', value: v, readonly: true }), read: () => undefined },
}

/** What an empty input shows: an example, or what counts when it stays empty. */
export function hint({ example, fallback, labels }) {
  if (example !== undefined) return typeof example === 'object' && !Array.isArray(example) ? JSON.stringify(example) : [example].flat().join('\n')
  if (fallback == null || fallback === '' || fallback.length === 0) return ''
  return say('otherwise', { value: [fallback].flat().map((each) => labels[each] ?? each).join(', ') })
}

function makeList(field, value, attributes) {
  const lines = [value ?? []].flat()
  return h('textarea', { ...attributes, ...PLAIN, rows: Math.min(10, Math.max(2, lines.length)), value: lines.join('\n'), placeholder: hint(field), class: 'code' })
}

function readList(input) {
  const lines = input.value.split('\n').map((line) => line.trim()).filter(Boolean)
  return lines.length ? lines : undefined
}

function makeNumber(field, value, attributes) {
  const step = field.core.type === 'integer' ? 1 : 'any'
  return h('input', { ...attributes, type: 'number', value, min: field.minimum, max: field.maximum, step, placeholder: hint(field) })
}

function readSwitch(input, field) {
  const fallback = field.fallback ?? false
  return input.checked === fallback ? undefined : input.checked
}

function makeChoice(field, value, attributes, choices) {
  const words = (each) => field.labels[each] ?? (each === true ? say('yes') : each === false ? say('no') : each)
  const empty = field.fallback == null ? say('notSet') : say('asDefault', { value: words(field.fallback) })
  // What is stored and offered no more stays until somebody chooses.
  const options = [...new Set([...choices, ...(value == null ? [] : [value])])].filter((each) => each !== field.fallback).map((each) => h('option', { value: JSON.stringify(each) }, words(each)))
  const select = h('select', attributes, h('option', { value: '' }, empty), options)
  select.value = options.find((option) => option.value === JSON.stringify(value))?.value ?? ''
  return select
}

function readChoice(input) {
  return input.value === '' ? undefined : JSON.parse(input.value)
}

function makeSeveral(field, value, attributes) {
  const boxes = [...new Set([...field.core.items.enum, ...(value ?? [])])].map((each) => h('label', { class: 'row' }, h('input', { type: 'checkbox', value: each, checked: (value ?? []).includes(each) }), field.labels[each] ?? each))
  return h('div', { id: attributes.id, role: 'group', 'aria-describedby': attributes['aria-describedby'] }, boxes)
}

function readSeveral(box) {
  const chosen = [...box.querySelectorAll('input')].filter((input) => input.checked).map((input) => input.value)
  return chosen.length ? chosen : undefined
}

function makeJson(field, value, attributes) {
  const shown = value == null ? '' : typeof value === 'string' ? value : JSON.stringify(value, null, 2)
  return h('textarea', { ...attributes, ...PLAIN, rows: 4, value: shown, placeholder: hint(field), class: 'code' })
}

function readJson(input) {
  try {
    return input.value.trim() === '' ? undefined : JSON.parse(input.value)
  } catch {
    return input.value // The server says what is wrong with it.
  }
}

function makeSecret(field, _, attributes) {
  if (field.lines) return h('textarea', { ...attributes, ...PLAIN, rows: 4, class: 'code veiled', placeholder: field.example })
  return h('input', { ...attributes, type: 'password', autocomplete: 'new-password' })
}

function readText(input) {
  return input.value === '' ? undefined : input.value
}

/** A row for each name and its value, such as headers, and an empty one to go on with. `secrets` are names whose values nobody can read: they stay, unless another value is typed or their row removed. */
function makePairs(field, value, attributes, secrets = []) {
  const box = h('div', { id: attributes.id, role: 'group', class: 'plain', 'aria-label': field.title, 'aria-describedby': attributes['aria-describedby'] })
  const input = (word, given, more) => h('input', { type: 'text', value: given, 'aria-label': `${field.title}: ${say(word)}`, placeholder: say(word), spellcheck: 'false', autocomplete: 'off', ...more })
  const add = (name = '', text = '', isSecret = false) => {
    const row = h('div', { class: 'pair', 'data-secret': isSecret && name },
      input('name', name, { readonly: isSecret }), input('value', text, isSecret && { placeholder: say('secretSet') }),
      h('button', { type: 'button', class: 'quiet', 'aria-label': say('removeOne', { name: name || field.title }), click: () => take(row) }, say('remove')))
    box.append(row)
  }
  const take = (row) => {
    row.remove()
    if (!box.children.length) add()
    box.dispatchEvent(new Event('input', { bubbles: true }))
    box.querySelector('input').focus()
  }
  box.addEventListener('input', () => { if ([...box.lastChild.querySelectorAll('input')].some((input) => input.value)) add() })
  Object.entries(value ?? {}).forEach(([name, text]) => add(name, text))
  secrets.forEach((name) => add(name, '', true))
  add()
  return box
}

function readPairs(box) {
  const found = [...box.children].filter((row) => !row.dataset.secret || row.querySelectorAll('input')[1].value)
    .map((row) => [...row.querySelectorAll('input')].map((input) => input.value.trim())).filter(([name]) => name)
  return found.length ? Object.fromEntries(found) : undefined
}

/** The merge patch from `before` and its secrets to what is there now: undefined where nothing was changed. */
export function diffPairs(box, before = {}, secrets = []) {
  const after = readPairs(box) ?? {}
  const kept = [...box.children].map((row) => row.dataset.secret)
  const gone = [...Object.keys(before), ...secrets.filter((name) => !kept.includes(name))].filter((name) => !(name in after)).map((name) => [name, null])
  const changed = Object.entries(after).filter(([name, text]) => before[name] !== text)
  return gone.length + changed.length ? Object.fromEntries([...gone, ...changed]) : undefined
}
