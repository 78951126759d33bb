/** Deleting something: what goes, what stays, and its name typed so that nobody does it by mistake. */

import { call } from './api.js'
import { h } from './dom.js'
import { explain } from './element.js'
import { Field } from './field.js'
import { say } from './language.js'

/** Asks for the name; `what` and `stays` are the words for what goes and what stays. */
export function drawRemoval(dialog, what, stays) {
  const { saved } = dialog
  const field = new Field({ name: 'confirm', kind: 'text', core: {}, labels: {}, title: say('typeName', { name: saved.name }) })
  const message = h('p', { role: 'alert', class: 'wrong' })
  const remove = async () => {
    if (field.typed !== saved.name) {
      field.show(say('nameDiffers'))
      return field.focus()
    }
    const isDone = await dialog.troubles.attempt(button, () => call(dialog.client, 'DELETE', dialog.path, undefined, dialog.condition))
    if (!isDone) return void (message.textContent = explain(dialog.troubles.problem))
    dialog.tell('di-deleted', { id: dialog.id })
    dialog.close()
  }
  const button = dialog.button('deleteNow', remove, 'danger')
  dialog.fill(say('deleteTitle', { name: saved.name }), [h('p', {}, say(what)), h('p', {}, say(stays)), h('div', { class: 'fields' }, field.element), message],
    [h('span', { class: 'gap' }), dialog.button('back', () => dialog.drawAgain()), button])
  field.focus()
}
