/** Elements without parsing HTML: text stays text, so nothing that a device or an admin wrote becomes markup; ours are fetched when needed. */

const SVG = 'http://www.w3.org/2000/svg'

/** An element; functions become listeners, true an empty attribute, false and null none. Children may be nested lists. */
export function h(name, attributes = {}, ...children) {
  if (name.includes('-')) load(name)
  return fill(document.createElement(name), attributes, children)
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children)
}

function fill(element, attributes, children) {
  element.listeners = {}
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') listen(element, name, value)
    else if (['value', 'checked', 'indeterminate', 'client'].includes(name)) element[name] = value ?? ''
    else if (value !== false && value != null) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...flatten(children))
  return element
}

/** One listener for each event, whose function a redraw may replace. */
function listen(element, name, listener) {
  if (!(name in element.listeners)) element.addEventListener(name, (event) => element.listeners[name]?.(event))
  element.listeners[name] = listener
}

const flatten = (children) => children.flat(6).filter((child) => child != null && child !== false && child !== '')

/** Makes `place` hold `children` by changing no more than what differs, so that focus, selection, scrolling, opened details and what is being typed stay. Children with `data-key` are known by it, others by their place. */
export function patch(place, ...children) {
  const known = new Map([...place.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]))
  let at = place.firstChild
  for (const next of flatten(children).map(toNode)) {
    const found = next.dataset?.key ? known.get(next.dataset.key) : at?.dataset?.key ? null : at
    if (!found || !isAlike(found, next)) place.insertBefore(next, at)
    else {
      if (found === at) at = at.nextSibling
      else place.insertBefore(found, at)
      update(found, next)
    }
  }
  while (at) {
    const gone = at
    at = at.nextSibling
    gone.remove()
  }
}

const toNode = (child) => (child instanceof Node ? child : document.createTextNode(child))

function isAlike(one, other) {
  return one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key && one.type === other.type
}

/** What people change themselves: not taken back by a redraw. */
const THEIRS = new Set(['open', 'selected'])

function update(old, next) {
  if (old === next) return
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data
    return
  }
  for (const name of old.getAttributeNames()) if (!next.hasAttribute(name) && !THEIRS.has(name)) old.removeAttribute(name)
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value && !THEIRS.has(name)) set(old, name, value)
  for (const [name, listener] of Object.entries(next.listeners ?? {})) listen(old, name, listener)
  if (!old.shadowRoot) patch(old, ...next.childNodes)
}

/** A style attribute set as text would be against the content security policy. */
const set = (element, name, value) => (name === 'style' ? (element.style.cssText = value) : element.setAttribute(name, value))

/** Asks whoever holds something that was typed; false where somebody wants to stay. */
export const mayLeave = () => dispatchEvent(new Event('di-leaving', { cancelable: true }))

let counter = 0
export const nextId = (prefix) => `di-${prefix}-${++counter}`

const MODULES = {
  'device-integrations': () => import('./integrations.js'),
  'device-integration-dialog': () => import('./dialog.js'),
  'integration-overview': () => import('./integration.js'),
  'integration-facts': () => import('./integration.js'),
  'integration-chart': () => import('./chart.js'),
  'integration-alerts': () => import('./feeds.js'),
  'integration-activity': () => import('./feeds.js'),
  'integration-messages': () => import('./feeds.js'),
  'first-message': () => import('./first.js'),
  'webhook-deliveries': () => import('./deliveries.js'),
  'device-list': () => import('./devices.js'),
  'device-page': () => import('./device.js'),
  'device-state': () => import('./device.js'),
  'device-sync': () => import('./sync.js'),
  'firmware-rollouts': () => import('./rollouts.js'),
  'organization-start': () => import('./start.js'),
  'organization-audit': () => import('./audit.js'),
  'organization-codecs': () => import('./codecs.js'),
  'codec-dialog': () => import('./codec.js'),
  'organization-members': () => import('./audit.js'),
}

export const NAMES = Object.keys(MODULES)

/** Fetches and defines one element, once; elements of that name in the page come to life. False where that can't be had. */
export async function load(name) {
  try {
    if (!customElements.get(name)) await MODULES[name]?.()
    return Boolean(customElements.get(name))
  } catch (error) {
    console.warn(`<${name}> could not be loaded: ${error.message}`)
    return false
  }
}

export function define(name, element) {
  if (!customElements.get(name)) customElements.define(name, element)
}
