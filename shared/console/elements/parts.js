/** What several screens are made of. */

import { h } from './dom.js'
import { say } from './language.js'

/** A table: the keys of its columns' titles, and its rows. */
export const table = (columns, ...rows) => h('table', {}, h('thead', {}, h('tr', {}, columns.map((word) => h('th', { scope: 'col' }, say(word))))), h('tbody', {}, rows))

/** A heading with what belongs beside it. */
export const bar = (level, title, ...beside) => h('div', { class: 'bar' }, h(level, {}, title), h('span', { class: 'gap' }), beside)

/** What is said where there is nothing, and why that is. */
export const empty = (title, why, ...more) => h('div', { class: 'empty' }, h('h3', {}, say(title)), why && h('p', {}, say(why)), more)

export const button = (word, click, kind = '', more = {}) => h('button', { type: 'button', class: kind, click, ...more }, say(word))

/** A choice of one: `[[value, word]]`. */
export const choice = (label, options, change, more = {}) => h('select', { 'aria-label': label, change: (event) => change(event.target.value), ...more }, options.map(([value, word]) => h('option', { value, 'data-key': value }, word)))

/** Times back from now, by their words. */
export const SINCE = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 }
export const sinceChoices = () => [['', say('sinceEver')], ...Object.keys(SINCE).map((span) => [span, say(`since_${span}`)])]

/** Hands a text to the one at the screen as a file. */
export function saveAs(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv' }))
  h('a', { href: address, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(address), 60_000)
}

export const json = (value) => h('code', {}, JSON.stringify(value))
