/** What a dialog shows instead of its form: secrets that were made, and what is about to be deleted. */

import { makeField } from './objects.js'
import { button, explain, gap, h, say } from './kit.js'

/** Secrets that were made, shown this once, and left only by saying that they are copied: then `done` is called. */
export function drawGenerated(dialog, generated, done) {
  dialog.locked = true
  const items = Object.entries(generated).map(([name, value]) => drawOne(dialog.form?.titleOf(name) ?? name, value))
  const leave = () => {
    items.forEach((item) => { item.querySelector('input').value = '' })
    dialog.locked = false
    done()
    dialog.close()
  }
  dialog.fill(say('showOnce'), [h('p', {}, say('showOnceWhy')), h('ul', { class: 'plain' }, items)], [gap(), button('haveCopied', leave, 'primary')])
}

function drawOne(title, value) {
  const input = h('input', { readonly: true, value, 'aria-label': title, class: 'code', focus: () => input.select() })
  const note = h('span', { role: 'status', class: 'is-good' })
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value)
      note.textContent = say('copied')
    } catch {
      input.select() // Where a page may not write there, it is one key press.
      note.textContent = say('copyByHand')
    }
  }
  return h('li', {}, h('b', {}, title), h('div', { class: 'control' }, input, button('copy', copy)), note)
}

/** What goes and what stays; its name is typed, so that nobody deletes it by mistake. */
export function drawRemoval(dialog) {
  const { saved, removal } = dialog
  const field = makeField({ name: 'confirm', kind: 'text', core: {}, labels: {}, title: say('typeName', { name: saved.name }) })
  const message = h('p', { role: 'alert', class: 'wrong' })
  const remove = async () => {
    if (field.typed !== saved.name) {
      field.show(say('nameDiffers'))
      return field.focus()
    }
    const isDone = await dialog.troubles.attempt(now, () => dialog.call('DELETE', dialog.path, undefined, dialog.condition))
    if (!isDone) return void (message.textContent = explain(dialog.troubles.problem))
    dialog.tell('di-deleted', { id: dialog.id })
    dialog.close()
  }
  const now = button('deleteNow', remove, 'danger')
  dialog.fill(say('deleteTitle', { name: saved.name }), [removal.map((word) => h('p', {}, say(word))), h('div', { class: 'fields' }, field.element), message],
    [gap(), button('back', () => dialog.drawAgain()), now])
  field.focus()
}
