/** The style sheets: that of the first screen, to which `more.js` adds. A host changes them by the custom properties that begin with --di-. */

export const sheets = []

export function addSheet(text) {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(text)
  sheets.push(sheet)
}

addSheet(`
:host {
  --ink: var(--di-ink, light-dark(#1b1f24, #e6e8eb)); --dim: var(--di-dim, light-dark(#59626d, #a0a8b2));
  --paper: var(--di-paper, light-dark(#fff, #16191d)); --sunk: var(--di-sunk, light-dark(#f5f6f8, #1e2227));
  --line: var(--di-line, light-dark(#d5d9de, #363c44)); --edge: var(--di-edge, #7b8591);
  --accent: var(--di-accent, light-dark(#0b5cad, #79b8ff)); --on-accent: var(--di-on-accent, light-dark(#fff, #0b1a2b));
  --good: var(--di-good, light-dark(#17692f, #6fd28b)); --warn: var(--di-warn, light-dark(#8a5300, #f0b354));
  --bad: var(--di-bad, light-dark(#b3261e, #ff938a)); --round: var(--di-round, 6px);
  color-scheme: var(--di-scheme, light dark); display: block;
  /* Important here outdoes important there: what a host says of all elements stays outside. */
  color: var(--ink) !important; background: var(--paper) !important; font: .875rem/1.43 var(--di-font, system-ui, sans-serif) !important; font-variant: normal !important; letter-spacing: normal !important; word-spacing: normal !important;
  text-transform: none !important; text-align: start !important; text-indent: 0 !important; text-shadow: none !important; white-space: normal !important; cursor: auto !important; visibility: visible !important;
}
:host([hidden]) { display: none; } * { box-sizing: border-box; } [hidden] { display: none !important; }
h2 { font-size: 1.125rem; margin: 0; min-width: 0; overflow-wrap: anywhere; } h2, h3, th, td, li, b, .link { unicode-bidi: isolate; } h3 { font-size: .9375rem; margin: 0 0 4px; } p, figure, dl, dd { margin: 0; } p { overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button { font: inherit; color: var(--ink); background: var(--paper); border: 1px solid var(--edge); border-radius: var(--round); padding: 5px 12px; min-height: 32px; cursor: pointer; }
button:hover { background: var(--sunk); } button[aria-busy] { cursor: progress; opacity: .75; } button:disabled { opacity: .6; cursor: default; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); } button.primary:hover { filter: brightness(1.08); }
button.quiet { color: var(--accent); border-color: transparent; background: none; } [aria-pressed=true] { font-weight: 600; border-color: var(--accent) !important; }
.link { border: 0; background: none; padding: 0; min-height: 24px; color: var(--accent); text-decoration: underline; text-align: start; font-weight: 600; }
input, select, textarea { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--edge); border-radius: var(--round); padding: 5px 8px; width: 100%; min-height: 32px; }
input[type=checkbox] { width: 20px; height: 24px; min-height: 24px; margin: 0; accent-color: var(--accent); flex: none; }
.bar select, .bar input { width: auto; max-width: 100%; } input[type=search] { width: 240px; } ::placeholder { color: var(--dim); opacity: 1; }
code { font-family: ui-monospace, monospace; font-size: .8125rem; overflow-wrap: anywhere; } small { color: var(--dim); font-size: .8125rem; }
.bar { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; padding: 12px 0; } .bar h3 { margin: 0; } .gap { flex: 1; } .pad { padding: 16px 0; } .quiet { color: var(--dim); } .row { display: flex; gap: 8px; align-items: center; } summary { font-weight: 600; padding: 4px 0; cursor: pointer; }
table { width: 100%; border-collapse: collapse; } th, td { text-align: start; font-weight: 400; padding: 7px 8px; border-bottom: 1px solid var(--line); vertical-align: baseline; overflow-wrap: break-word; } th[scope=row] { min-width: 9em; overflow-wrap: anywhere; } .wide { overflow-wrap: anywhere; } .when { white-space: nowrap; }
thead th { color: var(--dim); font-size: .75rem; position: sticky; top: 0; background: var(--paper); white-space: nowrap; }
.number { font-variant-numeric: tabular-nums; } .badge { white-space: nowrap; color: var(--dim); }
.is-good { color: var(--good); } .is-bad { color: var(--bad); } .is-warn { color: var(--warn); } .is-off { color: var(--dim); } .wrong { color: var(--bad); margin-top: 4px; } .done { color: var(--good); padding: 8px 0; }
.empty { padding: 32px 8px; text-align: center; color: var(--dim); } .empty h3 { color: var(--ink); } .empty button { margin-top: 12px; }
.summary { border: 1px solid var(--bad); border-inline-start-width: 4px; border-radius: var(--round); padding: 10px 14px; margin: 8px 0 16px; overflow-wrap: anywhere; } .summary > button:not(.link) { margin-top: 8px; }
.summary > .bar { padding: 0 0 4px; } .warning { border-color: var(--warn); } .over { border-color: var(--line); }
.plain { list-style: none; padding: 0; margin: 8px 0; display: grid; gap: 10px; } td .plain { margin: 0; gap: 2px; } .block { margin: 20px 0; min-width: 0; } .block > h3 { margin-bottom: 8px; }
figcaption { font-weight: 600; } svg { width: 100%; height: 140px; border-bottom: 1px solid var(--edge); display: block; } svg.spark { width: 120px; height: 24px; display: inline-block; vertical-align: middle; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; list-style: none; padding: 0; margin: 4px 0; color: var(--dim); } .legend li::before { content: "■ "; }
.stored { fill: var(--accent); } .duplicates { fill: var(--dim); } .failed { fill: var(--bad); } .legend .stored::before { color: var(--accent); } .legend .failed::before { color: var(--bad); }
.away { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
@media (prefers-reduced-motion: no-preference) { button { transition: background .1s; } }
@media (forced-colors: active) { button, .summary { border-color: CanvasText; } rect { forced-color-adjust: none; } }
@media (max-width: 640px) {
  table:not(.scroller table, .keep table) {
    thead { position: absolute; clip-path: inset(50%); } tr { display: grid; grid-template-columns: 1fr auto; padding: 6px 0; border-bottom: 1px solid var(--line); }
    :is(td, th) { border: 0; padding: 2px 8px; min-width: 0; } :is(th[scope=row], td[colspan], td.wide) { grid-column: 1 / -1; } .away { position: static; clip-path: none; }
  }
  input[type=search] { width: 100%; }
}
`)
