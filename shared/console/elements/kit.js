/** What screens are made of, by one door. */

export { asProblem, call, pages, readTypes, rows } from './api.js'
export { define, h, load, mayLeave, nextId, svg } from './dom.js'
export { Element } from './element.js'
export * from './health.js'
export { ready, say, sayAgo, sayNumber, sayTime } from './language.js'
export * from './parts.js'
