/** What no module of the first screen needs: dialogs', forms' and details' styles and parts, and the words of all other screens. */

import { h } from './dom.js'
import { drawer } from './health.js'
import { wantMore } from './language.js'
import { link } from './parts.js'
import { addSheet } from './styles.js'

addSheet(`
:host(:is(device-integration-dialog, codec-dialog)) { display: contents; }
.file { font: inherit; border-radius: var(--round); padding: 5px 12px; min-height: 32px; cursor: pointer; color: var(--accent); }
button.danger { color: var(--bad); border-color: var(--bad); } a { color: var(--accent); }
input[type=file] { position: absolute; opacity: 0; width: 1px; } .file:focus-within { outline: 2px solid var(--accent); }
[aria-invalid] { border-color: var(--bad); box-shadow: inset 0 0 0 1px var(--bad); }
.code { font-family: ui-monospace, monospace; font-size: .8125rem; overflow-wrap: anywhere; } .veiled { -webkit-text-security: disc; }
.scroller { height: min(480px, 70vh); overflow: auto; border: 1px solid var(--line); border-radius: var(--round); }
.scroller table { table-layout: fixed; } .scroller tbody tr:not(.space) { height: 36px; } .scroller tbody :is(td, th) { padding-block: 5px; } .scroller :is(td, th) { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; } .scroller .space td { padding: 0; border: 0; }
dialog { color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 0; width: min(680px, 96vw); max-height: 92vh; }
dialog[open] { display: flex; flex-direction: column; } dialog::backdrop { background: rgb(0 0 0 / .45); }
header, footer { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; padding: 12px 20px; } header h2 { flex: 1; overflow-wrap: anywhere; } footer { border-top: 1px solid var(--line); }
.body { overflow: auto; padding: 4px 20px 20px; } fieldset, .group { border: 0; padding: 0; margin: 20px 0 0; min-width: 0; } legend { font-weight: 600; padding: 4px 0; }
.fields { display: grid; gap: 16px; margin-top: 8px; } .field label { font-weight: 600; display: block; margin-bottom: 4px; } .row label { margin: 0; } label.file { font-weight: 400; display: inline-block; } form > .field + .field { margin-top: 16px; } .kind-lines textarea { flex-basis: 100%; }
.mark, .help, .unit { color: var(--dim); font-weight: 400; } .help { font-size: .8125rem; margin-top: 4px; }
.control { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; } .control textarea { flex: 1 1 240px; } .control input { flex: 1; min-width: 0; } .set { flex: 1; } .kind-number input { flex: none; width: 160px; } .pair { display: grid; grid-template-columns: 1fr 2fr auto; gap: 8px; width: 100%; }
.summary ul { margin: 4px 0 0; padding-inline-start: 18px; } .summary small { display: block; } .good-news { border-color: var(--good); }
.steps { margin-top: 20px; } .steps:empty { margin: 0; } .steps ol { list-style: none; padding: 0; margin: 8px 0 0; } .steps li { display: grid; grid-template-columns: minmax(110px, auto) 1fr auto; gap: 10px; padding: 6px 0; border-top: 1px solid var(--line); } .steps span { overflow-wrap: anywhere; white-space: pre-wrap; }
.cards { list-style: none; padding: 0; margin: 8px 0; display: grid; gap: 10px; } .card { width: 100%; text-align: start; display: grid; gap: 2px; padding: 12px 14px; } .card span { color: var(--dim); }
[role=tablist] { display: flex; flex-wrap: wrap; gap: 4px; border-bottom: 1px solid var(--line); margin: 8px 0 12px; } [role=tab] { border: 0; border-radius: 0; background: none; border-bottom: 3px solid transparent; } [role=tab][aria-selected=true] { border-bottom-color: var(--accent); font-weight: 600; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 16px; } .facts dt { color: var(--dim); } .facts dd { overflow-wrap: anywhere; } .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 24px; }
pre { margin: 0; padding: 8px; background: var(--sunk); border-radius: var(--round); font: .8125rem/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 320px; overflow: auto; } .line { fill: none; stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; }
@media (forced-colors: active) { .card, dialog, [role=tab][aria-selected=true] { border-color: CanvasText; } }
@media (max-width: 640px) {
  .minor { display: none; } .scroller th:nth-child(2) { width: 96px; } .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: 8px; } .steps li { grid-template-columns: 1fr auto; } .steps span { grid-column: 1 / -1; } .body, header, footer { padding-inline: 12px; } footer .gap { flex-basis: 100%; }
}
`)
wantMore()

/** Of jobs, rollouts and commands. */
export const drawWork = drawer('work', { sent: 'good', confirmed: 'done', done: 'done', failed: 'bad', expired: 'bad', cancelled: 'off' })
export const json = (value) => h('code', {}, JSON.stringify(value))

/** A part of a page under its own title. */
export const block = (title, ...inside) => h('section', { class: 'block' }, h('h3', {}, title), inside)

/** What opens the details of one row, and closes them: `element.opened` is its id. */
export function drawToggle(element, id, text) {
  const isOpen = element.opened === id
  return link(text, () => { element.opened = isOpen ? null : id; element.refresh() }, { 'aria-expanded': String(isOpen) })
}

/** Names and what they are: `[[name, value]]`, those without value left out. */
export const drawFacts = (facts) => h('dl', { class: 'facts' }, facts.filter(([, value]) => value != null && value !== '' && value !== false).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]))
