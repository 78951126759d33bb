/** Reads how many messages came: minute by minute from the table, longer spans from the function that sums them up. */

import { call, rows } from './api.js'

const PAGE = 1000
const MOST_PAGES = 5

/** The minutes of the last hour, of one integration or of all of an organization. */
export async function readHour(client, { organization, integration }) {
  const since = new Date(Date.now() - 3_600_000).toISOString()
  const found = []
  for (let page = 0; page < MOST_PAGES; page++) {
    let query = client.from('integration_metrics').select('integration_id,minute,stored,duplicates,failed').eq('organization_id', organization).gte('minute', since)
    if (integration) query = query.eq('integration_id', integration)
    const some = await rows(query.order('minute', { ascending: false }).range(page * PAGE, page * PAGE + PAGE - 1))
    found.push(...some)
    if (some.length < PAGE) break
  }
  return found
}

/** The series of one integration between now and so many hours ago. */
export async function readSeries(client, integration, hours) {
  const query = new URLSearchParams({ from: new Date(Date.now() - hours * 3_600_000).toISOString(), to: new Date().toISOString(), step: 'hour' })
  return (await call(client, 'GET', `integrations/${integration}/metrics?${query}`)).body.series
}
