/** Keeps what is shown fresh: asks again at intervals while the page is looked at, and soon when Realtime says so. */

const SLOW_SECONDS = 60
const DEBOUNCE = 250
/** However much changes, nobody reads faster. */
const LEAST = 1000

/** Calls `refresh` until the returned function is called. `tables` are watched with Realtime where the client has it: a change only asks again, and while Realtime is known to work the interval is longer. */
export function watch(client, refresh, { seconds = 5, tables = [], filter } = {}) {
  const state = { timer: 0, due: Infinity, ran: 0, stopped: false, live: false, running: false, again: false }
  /** What is due sooner stays so: changes that never end must not put it off for ever. */
  const plan = (milliseconds) => {
    const due = Math.max(Date.now() + milliseconds, state.ran + LEAST)
    if (state.stopped || document.hidden || due >= state.due) return
    clearTimeout(state.timer)
    Object.assign(state, { due, timer: setTimeout(run, due - Date.now()) })
  }
  const forget = () => { clearTimeout(state.timer); state.due = Infinity }
  const run = async () => {
    forget()
    if (state.running) return void (state.again = true)
    Object.assign(state, { running: true, again: false, ran: Date.now() })
    try {
      if (!document.hidden && !state.stopped) await refresh()
    } finally {
      state.running = false
      plan(state.again ? DEBOUNCE : (state.live ? Math.max(seconds, SLOW_SECONDS) : seconds) * 1000)
    }
  }
  const soon = () => plan(DEBOUNCE)
  const seen = () => (document.hidden ? forget() : run())
  const become = (live) => { state.live = live; if (!live) soon() }
  const channel = client.channel && tables.length ? import('./realtime.js').then(({ listen }) => listen(client, tables, filter, soon, become), () => null) : null
  document.addEventListener('visibilitychange', seen)
  addEventListener('online', seen)
  run()
  return () => {
    state.stopped = true
    forget()
    document.removeEventListener('visibilitychange', seen)
    removeEventListener('online', seen)
    channel?.then((opened) => opened && client.removeChannel(opened))
  }
}
