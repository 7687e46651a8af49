// What the client does in each runtime: it talks in a room of `test/client/conversation.ts`, whose server and proxy do things to
// its line at certain messages. Runs as it is in pages, Deno, Bun and Node, with the built module of the client.

const MESSAGES = 30

const { setTimeout: sleep } = globalThis

/** Counts what is left of timers and listeners in a page, of those that are made from now on. A program says it by its end. */
function watchLeftovers () {
  const timers = new Set()
  const listeners = []
  if (globalThis.document === undefined) return { timers, listeners }
  const { setTimeout, clearTimeout } = globalThis
  globalThis.setTimeout = (callback, delay) => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      callback()
    }, delay)
    timers.add(timer)
    return timer
  }
  globalThis.clearTimeout = timer => {
    timers.delete(timer)
    clearTimeout(timer)
  }
  for (const target of [globalThis, document]) {
    const { addEventListener, removeEventListener } = target
    target.addEventListener = (event, listener) => {
      listeners.push(event)
      addEventListener.call(target, event, listener)
    }
    target.removeEventListener = (event, listener) => {
      listeners.splice(listeners.indexOf(event), 1)
      removeEventListener.call(target, event, listener)
    }
  }
  return { timers, listeners }
}

/**
 * @param connect of the client
 * @param url of the route
 * @param options for the client
 * @param total messages that the room gets, those of the server included
 */
export async function converse (connect, url, options, total) {
  const leftovers = watchLeftovers()
  const seen = { got: [], places: [], resets: 0, opened: 0, errors: [] }
  const live = connect(url, { backoff: { base: 5, cap: 100 }, connectTimeout: 2_000, ...options })
  live.on('state', state => { if (state === 'open') seen.opened++ })
  live.on('error', error => seen.errors.push(String(error)))
  const room = live.topic('rooms/7')
  room.on('message', message => seen.got.push(message))
  room.on('reset', () => seen.resets++)
  await room.subscribe()
  for (let n = 0; n < MESSAGES; n++) seen.places.push(await room.publish(n))
  while (seen.got.length < total) await new Promise(resolve => sleep(resolve, 5))
  const listenersBefore = leftovers.listeners.length
  live.close()
  return { ...seen, state: live.state, listenersBefore, timers: leftovers.timers.size, listeners: leftovers.listeners }
}
