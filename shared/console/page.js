/** The console: signs in, chooses the organization, shows the screen that the address names. */

import { createClient } from './client.js'
import { rows } from './elements/api.js'
import { h, mayLeave } from './elements/dom.js'
import { useClient } from './elements/hosted.js'
import { ready, say, setLanguage } from './elements/language.js'
import { watch } from './elements/watch.js'

const ORGANIZATION = 'di-organization'
const SCREENS = { start: 'organization-start', integrations: 'device-integrations', devices: 'device-list', codecs: 'organization-codecs', alerts: 'integration-alerts', audit: 'organization-audit', members: 'organization-members' }
const PAGES = { integrations: ['integration-overview', 'integration-id'], devices: ['device-page', 'device-id'] }

const { supabaseUrl, anonKey, functionsUrl } = document.querySelector('meta[name=di-config]').dataset
const client = createClient(supabaseUrl || location.origin, anonKey, functionsUrl || undefined)
const state = { organizations: [], organization: null, open: 0, stop: null, isAsking: false }
const find = (id) => document.getElementById(id)
const fillPage = (...parts) => document.body.replaceChildren(...parts.filter(Boolean))

async function begin() {
  const { data: { session } } = await client.auth.getSession()
  state.stop?.()
  if (!session) {
    const { drawSignIn } = await import('./sign-in.js')
    fillPage(h('header', {}, h('h1', {}, say('product'))), h('main', {}, drawSignIn(client, begin)))
    return find('email').focus()
  }
  try {
    state.organizations = await rows(client.from('organizations').select('id,name').order('name').limit(500))
  } catch ({ document: { status }, message }) {
    return fillPage(h('main', {}, h('p', { class: 'empty', role: 'alert' }, status ? message : say('offline'), ' ', h('button', { type: 'button', click: begin }, say('retry')))))
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
  const move = () => {
    if (!mayLeave()) return void (chooser.value = organization)
    history.replaceState(null, '', '#/')
    choose(chooser.value)
  }
  const chooser = h('select', { id: 'organization', 'aria-label': say('organization'), change: move }, organizations.map(({ id, name }) => h('option', { value: id, selected: id === organization }, name)))
  const links = Object.keys(SCREENS).map((name) => h('a', { href: name === 'start' ? '#/' : `#/${name}`, 'data-screen': name }, say(`screen_${name}`), name === 'alerts' && h('span', { class: 'count', hidden: true })))
  fillPage(h('header', {}, h('h1', {}, say('product')), h('nav', { 'aria-label': say('screens') }, links), organizations.length > 1 && chooser, h('button', { type: 'button', id: 'sign-out', click: signOut }, say('signOut'))),
    h('p', { id: 'said', class: 'away', role: 'status' }), h('main', { id: 'main', tabindex: '-1' }))
}

/** Nothing of the one who leaves stays, in memory neither. */
async function signOut() {
  if (!mayLeave()) return
  fillPage() // Whoever asked has been answered: nobody asks again.
  await client.auth.signOut()
  history.replaceState(null, '', '#/')
  location.reload()
}

function route() {
  const [, screen = '', id] = location.hash.split('/')
  const main = find('main')
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
  if (total > state.open) find('said').textContent = say('alertsOpen', { count: total })
  state.open = total
}

/** Over what is on the screen; then everything asks anew, as it does when the network is back. */
async function signInAgain() {
  if (state.isAsking || !find('main')) return
  state.isAsking = true
  try {
    const { signInOver } = await import('./sign-in.js')
    signInOver(client, () => { state.isAsking = false; dispatchEvent(new Event('online')) })
  } catch {
    state.isAsking = false // The next call that is refused asks again.
  }
}

await setLanguage(navigator.language)
await ready()
document.documentElement.lang = say('language')
addEventListener('hashchange', ({ oldURL }) => {
  // By the browser's own buttons, past a dialog that holds something.
  if (!mayLeave()) return history.pushState(null, '', oldURL)
  route()
  find('main')?.focus()
})
document.addEventListener('di-open', (event) => { event.preventDefault(); location.hash = `#/${event.detail.kind}s/${event.detail.id}` })
document.addEventListener('di-unauthenticated', signInAgain)
document.addEventListener('di-deleted', () => { location.hash = '#/integrations' })
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.composedPath().some((each) => each.matches?.('input, textarea, select, dialog'))) return
  const search = find('main')?.firstElementChild?.shadowRoot?.querySelector('input[type=search]')
  if (search) { event.preventDefault(); search.focus() }
})
useClient(client)
begin()
