/** Secrets that were made: shown this once, and left only by saying that they are copied. */

import { h } from './dom.js'
import { say } from './language.js'
import { button } from './parts.js'

/** Fills the dialog with them; `done` is called once somebody says that they have them. */
export function drawGenerated(dialog, generated, done) {
  dialog.locked = true
  const titleOf = (name) => dialog.form?.titleOf(name) ?? name
  const items = Object.entries(generated).map(([name, value]) => drawOne(titleOf(name), value))
  const leave = () => {
    items.forEach((item) => { item.querySelector('input').value = '' })
    dialog.locked = false
    done()
    dialog.close()
  }
  dialog.fill(say('showOnce'), [h('p', {}, say('showOnceWhy')), h('ul', { class: 'plain' }, items)], [h('span', { class: 'gap' }), dialog.button('haveCopied', leave, 'primary')])
}

function drawOne(title, value) {
  const input = h('input', { readonly: true, value, 'aria-label': title, class: 'code', focus: () => input.select() })
  const note = h('span', { role: 'status', class: 'is-good' })
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value)
    } catch {
      input.select() // Where a page may not write there, it is one key press.
      return void (note.textContent = say('copyByHand'))
    }
    note.textContent = say('copied')
  }
  return h('li', {}, h('b', {}, title), h('div', { class: 'control' }, input, button('copy', copy)), note)
}
