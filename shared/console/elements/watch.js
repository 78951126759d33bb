/** Keeps what is shown fresh: asks again at intervals while the page is looked at, and at once when Realtime says so. */

const SLOW_SECONDS = 60
const DEBOUNCE = 250

/**
 * Calls `refresh` until the returned function is called. `tables` are watched with Realtime where the client has it: a change
 * only asks again, and while Realtime is known to work the interval is longer.
 */
export function watch(client, refresh, { seconds = 5, tables = [], filter } = {}) {
  const state = { timer: 0, stopped: false, live: false, running: false, again: false }
  const plan = (milliseconds) => {
    clearTimeout(state.timer)
    if (!state.stopped && !document.hidden) state.timer = setTimeout(run, milliseconds)
  }
  const run = async () => {
    clearTimeout(state.timer)
    if (state.running) return void (state.again = true)
    Object.assign(state, { running: true, again: false })
    try {
      if (!document.hidden && !state.stopped) await refresh()
    } finally {
      state.running = false
      plan(state.again ? DEBOUNCE : (state.live ? Math.max(seconds, SLOW_SECONDS) : seconds) * 1000)
    }
  }
  const soon = () => plan(DEBOUNCE)
  const seen = () => (document.hidden ? clearTimeout(state.timer) : run())
  const channel = listen(client, tables, filter, soon, (live) => { state.live = live; if (!live) soon() })
  document.addEventListener('visibilitychange', seen)
  addEventListener('online', seen)
  run()
  return () => {
    state.stopped = true
    clearTimeout(state.timer)
    document.removeEventListener('visibilitychange', seen)
    removeEventListener('online', seen)
    if (channel) client.removeChannel(channel)
  }
}

let topics = 0
/** Realtime is believed once its `system` message has come: SUBSCRIBED alone does not mean that changes arrive. */
function listen(client, tables, filter, changed, become) {
  if (!client.channel || !tables.length) return null
  try {
    const channel = client.channel(`di-${++topics}-${tables.join('-')}`)
    tables.forEach((table) => channel.on('postgres_changes', { event: '*', schema: 'public', table, ...(filter && { filter }) }, changed))
    channel.on('system', {}, (message) => become(message?.status === 'ok'))
    return channel.subscribe((status) => { if (status !== 'SUBSCRIBED') become(false) })
  } catch {
    return null // A client whose Realtime is switched off: asking at intervals is enough.
  }
}
