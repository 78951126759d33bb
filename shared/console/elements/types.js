/** The first page of the dialog for a new integration: what can be connected. */

import { h } from './dom.js'
import { say } from './language.js'

export function drawTypes(dialog) {
  const choose = (type) => () => { dialog.type = type; dialog.drawForm() }
  const cards = dialog.types.map(({ type, label, docs }) => h('li', {}, h('button', { type: 'button', class: 'card', 'data-type': type, click: choose(type) }, h('b', {}, label), h('span', {}, docs))))
  dialog.fill(say('chooseType'), h('ul', { class: 'cards' }, cards), [h('span', { class: 'gap' }), dialog.button('cancel', () => dialog.close())])
  dialog.shadowRoot.querySelector('.card')?.focus()
}
