/** Changes as the host's client hears of them by Supabase Realtime, where it does. */

let topics = 0

/** A channel that calls `changed` at each change. It is believed once its `system` message has come: SUBSCRIBED alone does not mean that changes arrive. */
export function listen(client, tables, filter, changed, become) {
  try {
    const channel = client.channel(`di-${++topics}-${tables.join('-')}`)
    tables.forEach((table) => channel.on('postgres_changes', { event: '*', schema: 'public', table, ...(filter && { filter }) }, changed))
    channel.on('system', {}, (message) => become(message?.status === 'ok'))
    return channel.subscribe((status) => { if (status !== 'SUBSCRIBED') become(false) })
  } catch {
    return null // A client whose Realtime is switched off: asking at intervals is enough.
  }
}
