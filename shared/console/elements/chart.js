/** `<integration-chart organization-id integration-id>`: what came in, as bars; the same numbers as a table. */

import { Element, SERIES, define, gap, h, head, note, number, readHour, row, say, sayNumber, sayTime, sumUp, svg, table } from './kit.js'

const [WIDTH, HEIGHT] = [720, 140]
const HOUR = 3_600_000
const SPANS = { hour: { count: 60, size: 60_000 }, day: { count: 24, size: HOUR, hours: 24 }, week: { count: 56, size: 3 * HOUR, hours: 168 } }

define('integration-chart', class extends Element {
  seconds = 15
  failed = 'chartFailed'
  span = 'hour'

  async read() {
    const span = SPANS[this.span]
    return span.hours ? sumUp(await this.readSeries(span.hours), { ...span, at: (each) => each.at }) : sumUp(await readHour(this), span)
  }

  /** Of one integration, between so many hours ago and now: summed up by the server. */
  async readSeries(hours) {
    const query = new URLSearchParams({ from: new Date(Date.now() - hours * HOUR).toISOString(), to: new Date().toISOString(), step: 'hour' })
    return (await this.call('GET', `integrations/${this.integration}/metrics?${query}`)).body.series
  }

  render(buckets) {
    const title = say(`last_${this.span}`)
    const choose = (span) => () => { this.span = span; this.data = undefined; this.refresh() }
    const buttons = Object.keys(SPANS).map((span) => h('button', { type: 'button', class: 'quiet', 'aria-pressed': String(span === this.span), click: choose(span) }, say(`span_${span}`)))
    return h('figure', {}, h('div', { class: 'bar' }, h('figcaption', {}, title), gap(), this.integration && buttons), drawBars(buckets, title))
  }
})

function drawBars(buckets, title) {
  const most = Math.max(...buckets.map((bucket) => SERIES.reduce((sum, name) => sum + bucket[name], 0)))
  if (!most) return note('empty', say('noMessages'))
  const totals = SERIES.map((name) => [name, `${say(name)}: ${sayNumber(buckets.reduce((sum, bucket) => sum + bucket[name], 0))}`])
  const label = `${title}: ${totals.map(([, words]) => words).join(', ')}`
  const width = WIDTH / buckets.length
  const cells = (bucket) => row(bucket.at, head(sayTime(bucket.at)), ...SERIES.map((name) => number(bucket[name])))
  return [
    h('ul', { class: 'legend' }, totals.map(([name, words]) => h('li', { class: name }, words))),
    svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' }, buckets.map((bucket, index) => drawStack(bucket, index * width, width, most))),
    h('details', {}, h('summary', {}, say('asTable')), h('div', { class: 'keep' }, table(['when', ...SERIES], buckets.filter((bucket) => SERIES.some((name) => bucket[name])).map(cells)))),
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
