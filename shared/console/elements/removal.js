/** Deleting an integration: what goes, what stays, and its name typed so that nobody does it by mistake. */

import { call } from './api.js'
import { h } from './dom.js'
import { Field } from './field.js'
import { say } from './language.js'

export function drawRemoval(dialog) {
  const { saved } = dialog
  const field = new Field({ name: 'confirm', kind: 'text', core: {}, labels: {}, title: say('typeName', { name: saved.name }) })
  const message = h('p', { role: 'alert', class: 'wrong' })
  const remove = async () => {
    if (field.typed !== saved.name) {
      field.show(say('nameDiffers'))
      return field.focus()
    }
    const isDone = await dialog.troubles.attempt(button, () => call(dialog.client, 'DELETE', `integrations/${dialog.id}`, undefined, dialog.etag ? { 'If-Match': dialog.etag } : {}))
    if (!isDone) return void (message.textContent = dialog.troubles.element.querySelector('strong').textContent)
    dialog.tell('di-deleted', { id: dialog.id })
    dialog.close()
  }
  const button = dialog.button('deleteNow', remove, 'danger')
  dialog.fill(say('deleteTitle', { name: saved.name }), [h('p', {}, say('deleteWhat')), h('p', {}, say('deleteStays')), h('div', { class: 'fields' }, field.element), message],
    [h('span', { class: 'gap' }), dialog.button('back', () => dialog.drawAgain()), button])
  field.focus()
}
