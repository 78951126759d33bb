/** The line that somebody can copy to send a first message. */

const EXAMPLE = `'{"temperature": 21}'`

/** For a broker a publish, for what is pushed to us a request; null where only the other side can send. */
export function writeCommand(integration, can, client) {
  const { config, id, secrets } = integration
  if (can('session') && config.broker_url) return writePublish(config)
  if (!can('parse') || (config.poll_url && !secrets.includes('webhook_secret'))) return null
  const base = String(client.functions?.url ?? client.functionsUrl ?? '/functions/v1').replace(/\/$/, '')
  const header = config.webhook_secret_header ?? 'X-Webhook-Secret'
  return `curl '${base}/receive/${id}' -H '${header}: …' -H 'Content-Type: application/json' -d ${EXAMPLE}`
}

function writePublish({ broker_url: address, port, username, topics }) {
  if (!URL.canParse(address)) return null
  const url = new URL(address)
  const isPlain = ['mqtt:', 'tcp:'].includes(url.protocol)
  if (!isPlain && url.protocol !== 'mqtts:') return null
  const parts = ['mosquitto_pub', '-h', quote(url.hostname), '-p', port || url.port || (isPlain ? 1883 : 8883)]
  if (!isPlain) parts.push('--tls-use-os-certs')
  if (username) parts.push('-u', quote(username), '-P', "'…'")
  return [...parts, '-t', quote(fillTopic([topics].flat()[0])), '-m', EXAMPLE].join(' ')
}

/** A topic that the filter lets through. */
const fillTopic = (filter = '#') => filter.replace(/^\$share\/[^/]+\//, '').replace(/^#$/, 'devices/demo/telemetry').replace(/\+/g, 'demo').replace(/#$/, 'telemetry')

const quote = (text) => (/^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)
