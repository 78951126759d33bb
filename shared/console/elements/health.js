/** How things fare: a colour that always comes with a mark and a word, and how many messages came. */

import { rows } from './api.js'
import { h, svg } from './dom.js'
import { say, sayNumber } from './language.js'

const LOOKS = { good: ['is-good', '●'], bad: ['is-bad', '✗'], warn: ['is-warn', '▲'], off: ['is-off', '○'], done: ['is-good', '✓'], busy: ['is-off', '…'] }

/** The look of each state of one kind of thing; its word is the state's under the kind's name. */
export const drawer = (kind, looks, otherwise = 'busy') => (state) => {
  const [colour, mark] = LOOKS[looks[state] ?? otherwise]
  return h('span', { class: `badge ${colour}` }, h('span', { 'aria-hidden': 'true' }, `${mark} `), say(`${kind}_${state}`))
}

const HEALTH = { failing: 'bad', degraded: 'warn', silent: 'warn', waiting: 'busy', healthy: 'good', off: 'off' }
export const drawHealth = drawer('health', HEALTH, 'off')
export const drawDeviceStatus = drawer('device', { online: 'good', offline: 'off' })
export const drawDeliveryStatus = drawer('delivery', { delivered: 'done', dead: 'bad', cancelled: 'off' })
export const drawLevel = drawer('level', { warning: 'warn', error: 'bad' }, 'off')

const ORDER = Object.keys(HEALTH)
/** What needs somebody first, then by name. */
export const byNeed = (one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state) || one.name.localeCompare(other.name)

const QUIET_MINUTES = 3
const countMinutes = (iso) => Math.floor((Date.now() - Date.parse(iso)) / 60_000)

/** Whether anything looks at all; null where that can't be known. */
export function drawScheduler(scheduler) {
  if (!scheduler) return null
  const { last_seen_at: seen, state, parts = {} } = scheduler
  const tired = Object.keys(parts).filter((name) => countMinutes(parts[name]) > QUIET_MINUTES)
  const trouble = !seen ? say('neverLooked') : state === 'partial' ? say('partlyRunning', { parts: tired.join(', ') }) : countMinutes(seen) >= QUIET_MINUTES && say('notLooked', { count: countMinutes(seen) })
  return h('p', { class: trouble ? 'summary warning' : 'is-good', 'data-key': 'scheduler' }, trouble ? [h('strong', {}, trouble), ' ', say('isItRunning')] : `● ${say('running')}`)
}

export const SERIES = ['stored', 'duplicates', 'failed']
const PAGE = 1000
const MOST_PAGES = 5

export async function readHour(element) {
  const since = new Date(Date.now() - 3_600_000).toISOString()
  const found = []
  for (let page = 0; page < MOST_PAGES; page++) {
    const query = element.query('integration_metrics', 'integration_id,minute,stored,duplicates,failed').gte('minute', since)
    const some = await rows(query.order('minute', { ascending: false }).range(page * PAGE, page * PAGE + PAGE - 1))
    found.push(...some)
    if (some.length < PAGE) break
  }
  return found
}

/** Rows that have a moment, summed into as many buckets of `size` milliseconds as lead up to now. */
export function sumUp(found, { count, size, at = (each) => each.minute }) {
  const from = Math.floor(Date.now() / size) * size - (count - 1) * size
  const buckets = Array.from({ length: count }, (_, index) => ({ at: from + index * size, stored: 0, duplicates: 0, failed: 0 }))
  for (const each of found) {
    const bucket = buckets[Math.floor((Date.parse(at(each)) - from) / size)]
    if (bucket) SERIES.forEach((name) => { bucket[name] += each[name] })
  }
  return buckets
}

export function drawSpark(numbers, title) {
  const most = Math.max(1, ...numbers)
  const sum = numbers.reduce((one, other) => one + other, 0)
  const width = 120 / numbers.length
  return svg('svg', { class: 'spark', viewBox: '0 0 120 24', role: 'img', 'aria-label': `${title}: ${sayNumber(sum)}`, preserveAspectRatio: 'none' }, numbers.map((number, index) => {
    const height = Math.max(1, (number / most) * 24)
    return number > 0 && svg('rect', { class: 'stored', x: index * width + 0.5, y: 24 - height, width: width - 1, height })
  }))
}
