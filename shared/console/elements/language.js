/** Says things in the language of the page: words by their key, moments, durations, numbers. */

import { words } from './words.js'

const languages = { en: words }
/** The words of the first screen, and those of all others, which are fetched with the first of them. */
const FETCHED = { en: { more: () => import('./words-more.js') }, de: { first: () => import('./words-de.js'), more: () => import('./words-de-more.js') } }

let language = 'en'
let wantsMore = false
let fetching = Promise.resolve()

/** Choose the language, such as `de` or `de-CH`; English stands in for what it lacks. Resolves once its words are there. */
export function setLanguage(tag) {
  language = (tag || 'en').toLowerCase().split('-')[0]
  return fetchWords()
}

export function wantMore() {
  wantsMore = true
  fetchWords()
}

export const ready = () => fetching

export function addWords(tag, added) {
  languages[tag] = { ...languages[tag], ...added }
}

function fetchWords() {
  const wanted = [...new Set(['en', language])].flatMap((tag) => ['first', wantsMore && 'more'].map((part) => fetchPart(tag, part)))
  fetching = Promise.all(wanted)
  return fetching
}

const fetched = {}
/** What a host has added counts before what is fetched; what could not be fetched is asked for again. */
function fetchPart(tag, part) {
  const key = `${tag} ${part}`
  fetched[key] ??= FETCHED[tag]?.[part]?.().then((module) => { languages[tag] = { ...module.words, ...languages[tag] } }, () => { fetched[key] = null })
  return fetched[key]
}

/** The words for `key`, with `{names}` filled in; `count` chooses the plural. */
export function say(key, values = {}) {
  const found = languages[language]?.[key] ?? languages.en[key] ?? key
  const text = typeof found === 'string' ? found : found[new Intl.PluralRules(language).select(values.count)] ?? found.other
  return text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === 'number' ? sayNumber(values[name]) : values[name] ?? ''))
}

const STEPS = [[60, 'second', 1], [3600, 'minute', 60], [86_400, 'hour', 3600], [Infinity, 'day', 86_400]]
const stepOf = (seconds) => STEPS.find(([limit]) => Math.abs(seconds) < limit)

/** A moment as people say it: "3 minutes ago", "in 20 seconds". */
export function sayAgo(iso) {
  if (!iso) return say('never')
  const seconds = (Date.parse(iso) - Date.now()) / 1000
  const [, unit, size] = stepOf(seconds)
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(Math.round(seconds / size), unit)
}

/** How long ago this was, without "ago": "2 minutes". */
export function sayAge(milliseconds) {
  const seconds = Math.max(1, (Date.now() - milliseconds) / 1000)
  const [, unit, size] = stepOf(seconds)
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }).format(Math.round(seconds / size))
}

export const sayNumber = (number) => new Intl.NumberFormat(language).format(number)

export const sayTime = (iso) => new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(iso))
