/** How things fare: a colour that always comes with a mark and a word. */

import { h } from './dom.js'
import { say } from './language.js'

const LOOKS = {
  good: ['is-good', '●'], bad: ['is-bad', '✗'], warn: ['is-warn', '▲'], off: ['is-off', '○'], done: ['is-good', '✓'], busy: ['is-off', '…'],
}

/** A word with its colour and mark. */
export const badge = (look, ...words) => h('span', { class: `badge ${LOOKS[look][0]}` }, h('span', { 'aria-hidden': 'true' }, `${LOOKS[look][1]} `), words)

const STATES = { failing: 'bad', degraded: 'warn', silent: 'warn', waiting: 'busy', healthy: 'good', off: 'off' }
const ORDER = Object.keys(STATES)

export const drawHealth = ({ state }) => badge(STATES[state] ?? 'off', say(`health_${state}`))

/** What needs somebody first, then by name. */
export const byNeed = (one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state) || one.name.localeCompare(other.name)

const DEVICES = { online: 'good', offline: 'off', unknown: 'busy' }
export const drawDeviceStatus = (status) => badge(DEVICES[status] ?? 'busy', say(`device_${status}`))

const DELIVERIES = { pending: 'busy', delivering: 'busy', delivered: 'done', dead: 'bad', cancelled: 'off' }
export const drawDeliveryStatus = (status) => badge(DELIVERIES[status] ?? 'busy', say(`delivery_${status}`))

const LEVELS = { info: 'off', warning: 'warn', error: 'bad' }
export const drawLevel = (level) => badge(LEVELS[level] ?? 'off', say(`level_${level}`))

const WORK = { pending: 'busy', running: 'busy', starting: 'busy', sending: 'busy', sent: 'good', confirmed: 'done', done: 'done', failed: 'bad', expired: 'bad', cancelled: 'off' }
/** Of jobs, rollouts and commands. */
export const drawWork = (status) => badge(WORK[status] ?? 'busy', say(`work_${status}`))

const QUIET_MINUTES = 3
/** What is said where nothing works: null where the worker was seen lately, or where that can't be known. */
export function drawScheduler(scheduler) {
  if (!scheduler) return null
  const { last_seen_at: seen, state, parts = {} } = scheduler
  if (!seen) return h('p', { class: 'summary warning', 'data-key': 'scheduler' }, h('strong', {}, say('neverLooked')), ' ', say('isItRunning'))
  const minutes = Math.floor((Date.now() - Date.parse(seen)) / 60_000)
  const tired = Object.entries(parts).filter(([, at]) => Date.now() - Date.parse(at) > (QUIET_MINUTES + 1) * 60_000).map(([name]) => name)
  if (state === 'partial') return h('p', { class: 'summary warning', 'data-key': 'scheduler' }, h('strong', {}, say('partlyRunning', { parts: tired.join(', ') })), ' ', say('isItRunning'))
  if (minutes < QUIET_MINUTES) return h('p', { class: 'is-good', 'data-key': 'scheduler' }, '● ', say('running'))
  return h('p', { class: 'summary warning', 'data-key': 'scheduler' }, h('strong', {}, say('notLooked', { count: minutes })), ' ', say('isItRunning'))
}
