/** Where each element's module is; fetched when the element is first needed. */

const MODULES = {
  'device-integrations': () => import('./integrations.js'),
  'device-integration-dialog': () => import('./dialog.js'),
  'integration-overview': () => import('./integration.js'),
  'integration-facts': () => import('./facts.js'),
  'integration-chart': () => import('./chart.js'),
  'integration-alerts': () => import('./alerts.js'),
  'integration-activity': () => import('./activity.js'),
  'integration-messages': () => import('./messages.js'),
  'first-message': () => import('./first.js'),
  'webhook-deliveries': () => import('./deliveries.js'),
  'device-list': () => import('./devices.js'),
  'device-page': () => import('./device.js'),
  'device-state': () => import('./state.js'),
  'device-sync': () => import('./sync.js'),
  'firmware-rollouts': () => import('./rollouts.js'),
  'organization-start': () => import('./start.js'),
  'organization-audit': () => import('./audit.js'),
  'organization-codecs': () => import('./codecs.js'),
  'codec-dialog': () => import('./codec.js'),
  'organization-members': () => import('./members.js'),
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

/** Defines `name`, unless the page has it already. */
export function define(name, element) {
  if (!customElements.get(name)) customElements.define(name, element)
}
