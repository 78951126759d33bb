/** A control for names and their values, such as headers: a row for each, and an empty one to go on with. */

import { h } from './dom.js'
import { say } from './language.js'

/** `secrets` are names whose values nobody can read: they stay, unless another value is typed or their row removed. */
export function makePairs(field, value, attributes, secrets = []) {
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

export function readPairs(box) {
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
