/** The console: signs in, chooses the organization, shows the screen that the address names. */

import { createClient } from './client.js'
import { rows } from './elements/api.js'
import { h, mayLeave } from './elements/dom.js'
import { useClient } from './elements/element.js'
import { ready, say, setLanguage } from './elements/language.js'
import { watch } from './elements/watch.js'

const ORGANIZATION = 'di-organization'
const SCREENS = { start: 'organization-start', integrations: 'device-integrations', devices: 'device-list', codecs: 'organization-codecs', alerts: 'integration-alerts', audit: 'organization-audit', members: 'organization-members' }
const PAGES = { integrations: ['integration-overview', 'integration-id'], devices: ['device-page', 'device-id'] }

const { supabaseUrl, anonKey, functionsUrl } = document.querySelector('meta[name=di-config]').dataset
const client = createClient(supabaseUrl || location.origin, anonKey, functionsUrl || undefined)
const state = { organizations: [], organization: null, open: 0, stop: null, dialog: null }

function drawSignIn(done) {
  const message = h('p', { class: 'wrong', role: 'alert' })
  const form = h('form', {
    class: 'alone', submit: async (event) => {
      event.preventDefault()
      message.textContent = ''
      const { error, status } = await client.auth.signInWithPassword(Object.fromEntries(new FormData(form)))
      if (error) message.textContent = status === 400 || status === 401 || status === 422 ? say('signInWrong') : status ? error.message : say('offline')
      else done()
    },
  }, h('h2', {}, say('signIn')), h('label', { for: 'email' }, say('email')), h('input', { id: 'email', name: 'email', type: 'email', autocomplete: 'username', required: true }),
    h('label', { for: 'password' }, say('password')), h('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true }), message, h('button', { class: 'primary' }, say('signIn')))
  return form
}

async function begin() {
  const { data: { session } } = await client.auth.getSession()
  state.stop?.()
  if (!session) {
    document.body.replaceChildren(h('header', {}, h('h1', {}, say('product'))), h('main', {}, drawSignIn(begin)))
    return document.getElementById('email').focus()
  }
  try {
    state.organizations = await rows(client.from('organizations').select('id,name').order('name').limit(500))
  } catch (problem) {
    return document.body.replaceChildren(h('main', {}, h('p', { class: 'empty', role: 'alert' }, problem.document.status ? problem.message : say('offline'), ' ', h('button', { type: 'button', click: begin }, say('retry')))))
  }
  const known = localStorage.getItem(ORGANIZATION)
  choose((state.organizations.find(({ id }) => id === known) ?? state.organizations[0])?.id)
}

function choose(id) {
  state.organization = id
  state.stop?.()
  if (id) localStorage.setItem(ORGANIZATION, id)
  drawFrame()
  route()
  if (id) state.stop = watch(client, countAlerts, { seconds: 10, tables: ['alerts'] })
}

function drawFrame() {
  const { organizations, organization } = state
  const chooser = h('select', { id: 'organization', 'aria-label': say('organization'), change: () => { if (mayLeave()) { history.replaceState(null, '', '#/'); choose(chooser.value) } else chooser.value = state.organization } }, organizations.map(({ id, name }) => h('option', { value: id, selected: id === organization }, name)))
  const links = Object.keys(SCREENS).map((name) => h('a', { href: name === 'start' ? '#/' : `#/${name}`, 'data-screen': name }, say(`screen_${name}`), name === 'alerts' && h('span', { class: 'count', hidden: true })))
  const leave = async () => { await client.auth.signOut(); location.hash = ''; location.reload() }
  document.body.replaceChildren(h('header', {}, h('h1', {}, say('product')), h('nav', { 'aria-label': say('screens') }, links), organizations.length > 1 && chooser, h('button', { type: 'button', id: 'sign-out', click: leave }, say('signOut'))),
    h('p', { id: 'said', class: 'away', role: 'status' }), h('main', { id: 'main', tabindex: '-1' }))
}

function route() {
  const [, screen = '', id] = location.hash.split('/')
  const main = document.getElementById('main')
  if (!main) return
  if (!state.organization) return main.replaceChildren(h('p', { class: 'empty' }, say('noOrganization')))
  const name = screen in SCREENS ? screen : 'start'
  const [tag, attribute] = id && PAGES[name] ? PAGES[name] : [SCREENS[name]]
  document.querySelectorAll('nav a').forEach((link) => (link.dataset.screen === name ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current')))
  document.title = `${say(`screen_${name}`)} · ${say('product')}`
  main.replaceChildren(h(tag, { 'organization-id': state.organization, ...(attribute && { [attribute]: id }) }))
}

/** The badge in the header; a new alert is announced once, politely. */
async function countAlerts() {
  const { total } = await rows(client.from('alerts').select('id', { count: 'exact' }).eq('organization_id', state.organization).is('resolved_at', null).limit(1)).catch(() => ({ total: null }))
  const badge = document.querySelector('.count')
  if (!badge || total === null) return
  badge.hidden = !total
  badge.textContent = total
  if (total > state.open) document.getElementById('said').textContent = say('alertsOpen', { count: total })
  state.open = total
}

/** Over what is on the screen, so that nothing typed there is lost; then everything asks anew, as it does when the network is back. */
function signInAgain() {
  if (state.dialog) return
  const done = () => { state.dialog.close(); state.dialog.remove(); state.dialog = null; dispatchEvent(new Event('online')) }
  state.dialog = h('dialog', { 'aria-label': say('signIn'), cancel: (event) => event.preventDefault() }, h('p', {}, say('sessionEnded')), drawSignIn(done))
  document.body.append(state.dialog)
  state.dialog.showModal()
}

await setLanguage(navigator.language)
await ready()
document.documentElement.lang = say('language')
addEventListener('hashchange', ({ oldURL }) => {
  // By the browser's own buttons, past a dialog that holds something.
  if (!mayLeave()) return history.pushState(null, '', oldURL)
  route()
  document.getElementById('main')?.focus()
})
document.addEventListener('di-open', (event) => { event.preventDefault(); location.hash = `#/${event.detail.kind}s/${event.detail.id}` })
document.addEventListener('di-unauthenticated', () => { if (document.getElementById('main')) signInAgain() })
document.addEventListener('di-deleted', () => { location.hash = '#/integrations' })
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.composedPath().some((each) => each.matches?.('input, textarea, select, dialog'))) return
  const search = document.getElementById('main')?.firstElementChild?.shadowRoot?.querySelector('input[type=search]')
  if (search) { event.preventDefault(); search.focus() }
})
useClient(client)
begin()
