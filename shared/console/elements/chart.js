/** `<integration-chart organization-id integration-id>`: what came in, as bars; the same numbers as a table. */

import { h } from './dom.js'
import { drawBars, sumUp } from './drawing.js'
import { Element } from './element.js'
import { say } from './language.js'
import { define } from './load.js'
import { readHour, readSeries } from './metrics.js'

const HOUR = 3_600_000
const SPANS = { hour: { count: 60, size: 60_000 }, day: { count: 24, size: HOUR, hours: 24 }, week: { count: 56, size: 3 * HOUR, hours: 168 } }

export class Chart extends Element {
  freshness = { seconds: 15 }
  failed = 'chartFailed'
  span = 'hour'

  async read() {
    const span = SPANS[this.span]
    if (!span.hours) return sumUp(await readHour(this.client, this), span)
    return sumUp(await readSeries(this.client, this.integration, span.hours), { ...span, at: (row) => row.at })
  }

  render(buckets) {
    const title = say(`last_${this.span}`)
    const choose = (span) => () => { this.span = span; this.data = undefined; this.refresh() }
    const buttons = Object.keys(SPANS).map((span) => h('button', { type: 'button', class: 'quiet', 'aria-pressed': String(span === this.span), click: choose(span) }, say(`span_${span}`)))
    return h('figure', {}, h('div', { class: 'bar' }, h('figcaption', {}, title), h('span', { class: 'gap' }), this.integration && buttons), drawBars(buckets, title))
  }
}

define('integration-chart', Chart)
