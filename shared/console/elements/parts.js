/** What several screens are made of. */

import { h } from './dom.js'
import { say, sayAgo, sayNumber, sayTime } from './language.js'

/** A table: the keys of its columns' titles, those that are false left out, and its rows. */
export const table = (columns, ...rows) =>
  h('table', {}, h('thead', {}, h('tr', {}, columns.filter(Boolean).map((word) => h('th', { scope: 'col' }, say(word))))), h('tbody', {}, rows))

/** A row that is known by `key`; what is no cell becomes one, what is false or null is left out. */
export const row = (key, ...cells) => h('tr', { 'data-key': key }, cells.filter((each) => each != null && each !== false).map((each) => (each instanceof HTMLTableCellElement ? each : h('td', {}, each))))

/** The cell that a row is about, one that may be long, one of a number, and one that says when. */
export const head = (...inside) => h('th', { scope: 'row' }, inside)
export const wide = (...inside) => h('td', { class: 'wide' }, inside)
export const number = (value) => h('td', { class: 'number' }, sayNumber(value))
export const when = (iso) => h('td', { class: 'when', title: iso && sayTime(iso) }, sayAgo(iso))

export const gap = () => h('span', { class: 'gap' })
export const bar = (level, title, ...beside) => h('div', { class: 'bar' }, h(level, {}, title), gap(), beside)

/** A sentence of a kind: quiet, wrong, empty. */
export const note = (kind, ...inside) => h('p', { class: kind }, inside)

export const empty = (title, why, ...more) => h('div', { class: 'empty' }, h('h3', {}, say(title)), why && h('p', {}, say(why)), more)

export const button = (word, click, kind = '', more = {}) => h('button', { type: 'button', class: kind, click, ...more }, say(word))

export const link = (text, click, more = {}) => h('button', { type: 'button', class: 'link', click, ...more }, text)

/** A choice of one: `[[value, word]]`, after `all` where that can be chosen too. */
export const choice = (label, all, options, change) => h('select', { 'aria-label': label, change: (event) => change(event.target.value) },
  [...(all ? [['', all]] : []), ...options].map(([value, word]) => h('option', { value, 'data-key': value || 'all' }, word)))

export const SINCE = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 }
export const chooseSince = (change) => choice(say('range'), say('sinceEver'), Object.keys(SINCE).map((span) => [span, say(`since_${span}`)]), change)

/** A problem in one sentence for people. */
export function explain({ status, detail, waits }) {
  if (status === 0) return say('offline')
  if (status === 401) return say('sessionEnded')
  if (status === 429 && waits) return say('tooMany', { seconds: waits })
  return detail
}

export const drawReference = (id) => id && h('small', {}, say('reference', { id }))
