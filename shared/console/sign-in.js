/** Signing in: the page's first form, and the same over what is on the screen when a session has ended. */

import { h } from './elements/dom.js'
import { say } from './elements/language.js'

/** The form; `done` is called once a session is there. */
export function drawSignIn(client, done) {
  const message = h('p', { class: 'wrong', role: 'alert' })
  const input = (name, more) => [h('label', { for: name }, say(name)), h('input', { id: name, name, required: true, ...more })]
  const send = async (event) => {
    event.preventDefault()
    message.textContent = ''
    const { error, status } = await client.auth.signInWithPassword(Object.fromEntries(new FormData(form)))
    if (error) message.textContent = [400, 401, 422].includes(status) ? say('signInWrong') : status ? error.message : say('offline')
    else done()
  }
  const form = h('form', { class: 'alone', submit: send }, h('h2', {}, say('signIn')), input('email', { type: 'email', autocomplete: 'username' }),
    input('password', { type: 'password', autocomplete: 'current-password' }), message, h('button', { class: 'primary' }, say('signIn')))
  return form
}

/** Over what is on the screen, so that nothing typed there is lost. */
export function signInOver(client, done) {
  const dialog = h('dialog', { 'aria-label': say('signIn'), cancel: (event) => event.preventDefault() }, h('p', {}, say('sessionEnded')), drawSignIn(client, () => { dialog.close(); dialog.remove(); done() }))
  document.body.append(dialog)
  dialog.showModal()
}
