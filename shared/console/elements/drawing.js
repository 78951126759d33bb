/** Charts of our own: bars that stack, a sparkline, lines. Each says in words what it shows. */

import { h, svg } from './dom.js'
import { say, sayClock, sayNumber, sayTime } from './language.js'

export const SERIES = ['stored', 'duplicates', 'failed']
const [WIDTH, HEIGHT] = [720, 140]

/** Stacked bars: `[{at, stored, duplicates, failed}]`, with their sums as legend and all of them as a table. */
export function drawBars(buckets, title) {
  const most = Math.max(...buckets.map((bucket) => SERIES.reduce((sum, name) => sum + bucket[name], 0)))
  const totals = SERIES.map((name) => [name, buckets.reduce((sum, bucket) => sum + bucket[name], 0)])
  if (!most) return h('p', { class: 'empty' }, say('noMessages'))
  const label = `${title}: ${totals.map(([name, total]) => `${say(name)} ${sayNumber(total)}`).join(', ')}`
  const width = WIDTH / buckets.length
  return [
    h('ul', { class: 'legend' }, totals.map(([name, total]) => h('li', { class: name }, `${say(name)}: ${sayNumber(total)}`))),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' }, buckets.map((bucket, index) => drawStack(bucket, index * width, width, most))),
    h('details', {}, h('summary', {}, say('asTable')), drawTable(buckets)),
  ]
}

function drawStack(bucket, x, width, most) {
  let bottom = HEIGHT
  return SERIES.map((name) => {
    const height = (bucket[name] / most) * HEIGHT
    bottom -= height
    return height > 0 && svg('rect', { class: name, x: x + width * 0.08, y: bottom, width: width * 0.84, height }, svg('title', {}, `${sayTime(bucket.at)} ${say(name)}: ${sayNumber(bucket[name])}`))
  })
}

function drawTable(buckets) {
  const used = buckets.filter((bucket) => SERIES.some((name) => bucket[name]))
  const head = ['when', ...SERIES].map((word) => h('th', { scope: 'col' }, say(word)))
  return h('table', { class: 'keep' }, h('thead', {}, h('tr', {}, head)), h('tbody', {}, used.map((bucket) =>
    h('tr', {}, h('th', { scope: 'row' }, sayTime(bucket.at)), SERIES.map((name) => h('td', { class: 'number' }, sayNumber(bucket[name])))))))
}

/** A small row of bars: `[number]`, the newest last. */
export function drawSpark(numbers, title) {
  const most = Math.max(1, ...numbers)
  const sum = numbers.reduce((one, other) => one + other, 0)
  const width = 120 / numbers.length
  return svg('svg', { class: 'spark', viewBox: '0 0 120 24', role: 'img', 'aria-label': `${title}: ${sayNumber(sum)}`, preserveAspectRatio: 'none' },
    numbers.map((number, index) => number > 0 && svg('rect', { class: 'stored', x: index * width + 0.5, y: 24 - Math.max(1, (number / most) * 24), width: width - 1, height: Math.max(1, (number / most) * 24) })))
}

/** A line for one value over time: `[{at, value}]`, the oldest first. */
export function drawLine(points, title) {
  const [least, most] = [Math.min(...points.map(({ value }) => value)), Math.max(...points.map(({ value }) => value))]
  const [from, to] = [points[0].at, points.at(-1).at]
  const place = ({ at, value }) => `${(((at - from) / (to - from || 1)) * WIDTH).toFixed(1)},${(HEIGHT - 8 - ((value / 2 - least / 2) / (most / 2 - least / 2 || 1)) * (HEIGHT - 16)).toFixed(1)}`
  const label = say('valueRange', { title, least, most, last: points.at(-1).value })
  const rows = points.slice(-50).toReversed().map(({ at, value }) => h('tr', {}, h('th', { scope: 'row' }, sayTime(at)), h('td', { class: 'number' }, sayNumber(value))))
  return h('figure', { class: 'block', 'data-key': `line-${title}` },
    h('figcaption', {}, title), h('p', { class: 'quiet' }, label, ' · ', sayClock(from), ' – ', sayClock(to)),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' }, svg('polyline', { class: 'line', points: points.map(place).join(' ') })),
    h('details', {}, h('summary', {}, say('asTable')), h('table', { class: 'keep' }, h('tbody', {}, rows))))
}

/** Rows that have a moment, summed into as many buckets of `size` milliseconds as lead up to now. */
export function sumUp(rows, { count, size, at = (row) => row.minute }) {
  const from = Math.floor(Date.now() / size) * size - (count - 1) * size
  const buckets = Array.from({ length: count }, (_, index) => ({ at: from + index * size, stored: 0, duplicates: 0, failed: 0 }))
  for (const row of rows) {
    const bucket = buckets[Math.floor((Date.parse(at(row)) - from) / size)]
    if (bucket) SERIES.forEach((name) => { bucket[name] += row[name] })
  }
  return buckets
}
