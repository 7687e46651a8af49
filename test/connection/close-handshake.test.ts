import t from 'tap'
import { CLOSE_EVENTS, CLOSE_STATES, isClosed, mayDeliver, maySend, readyStateOf, transition, wasClean, type CloseAction, type CloseEvent, type CloseState } from '../../lib/connection/close-handshake.js'

/** Every sequence of that many events, with all that happens on its way. */
function * paths (length: number, state: CloseState = 'open', taken: CloseEvent[] = [], actions: CloseAction[] = []): Generator<{ state: CloseState, taken: CloseEvent[], actions: CloseAction[] }> {
  yield { state, taken, actions }
  if (length === 0) return
  for (const event of CLOSE_EVENTS) {
    const next = transition(state, event)
    if (next !== null) yield * paths(length - 1, next.state, [...taken, event], [...actions, ...next.actions])
  }
}

const count = <T>(list: readonly T[], wanted: T): number => list.filter(entry => entry === wanted).length

t.test('the ways through a closing handshake', async t => {
  const WAYS: Array<[name: string, events: CloseEvent[], state: CloseState, actions: CloseAction[]]> = [
    ['the app closes, the peer answers', ['close', 'closeReceived', 'endReceived', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket']],
    ['the peer closes', ['closeReceived', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket']],
    ['the app closes, nobody answers', ['close', 'socketClosed'], 'closedAbnormally', ['sendClose']],
    ['the app closes, the peer ends without an answer', ['close', 'endReceived', 'socketClosed'], 'closedAbnormally', ['sendClose', 'endSocket']],
    ['the peer ends', ['endReceived', 'socketClosed'], 'closedAbnormally', ['endSocket']],
    ['the framing is broken', ['fail', 'socketClosed'], 'closedAbnormally', ['sendClose', 'endSocket']],
    ['a limit is broken, the peer answers', ['refuse', 'closeReceived', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket']],
    ['a limit is broken while closing', ['close', 'refuse', 'closeReceived', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket']],
    ['the app terminates', ['terminate', 'socketClosed'], 'closedAbnormally', ['destroySocket']],
    ['the app closes, then terminates', ['close', 'terminate', 'socketClosed'], 'closedAbnormally', ['sendClose', 'destroySocket']],
    ['both have closed, the app terminates', ['closeReceived', 'terminate', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket', 'destroySocket']],
    ['a message cannot be sent', ['unsendable', 'closeReceived', 'socketClosed'], 'closedCleanly', ['sendClose', 'endSocket']]
  ]
  for (const [name, events, expected, expectedActions] of WAYS) {
    let state: CloseState = 'open'
    const actions: CloseAction[] = []
    for (const event of events) {
      const next = transition(state, event)
      if (next === null) continue
      state = next.state
      actions.push(...next.actions)
    }
    t.same([state, actions], [expected, expectedActions], name)
  }
})

t.test('what holds on every way of up to six events', t => {
  let ways = 0
  for (const { state, taken, actions } of paths(6)) {
    ways++
    const name = taken.join(' → ')
    const dropped = count(taken, 'unsendable')
    if (count(actions, 'sendClose') > 1 + dropped) t.fail(`§5.5.1, a Close frame is sent once: ${name}`)
    if (count(actions, 'endSocket') > 1) t.fail(`the socket is ended once: ${name}`)
    if (isClosed(state) !== taken.includes('socketClosed')) t.fail(`closed with the socket, and not before: ${name}`)
    if (maySend(state) !== (taken.length === 0)) t.fail(`§5.5.1, nothing is sent once it closes: ${name}`)
    if (wasClean(state) && !(taken.includes('closeReceived') && actions.includes('sendClose'))) t.fail(`§7.1.4, clean means both: ${name}`)
    if (wasClean(state) !== taken.includes('closeReceived')) t.fail(`clean is what was clean: ${name}`)
  }
  t.ok(ways > 1000, `${ways} ways`)
  t.end()
})

t.test('readyState never goes back', t => {
  for (const state of CLOSE_STATES) {
    for (const event of CLOSE_EVENTS) {
      const next = transition(state, event)
      if (next === null) continue
      t.ok(readyStateOf(next.state) >= readyStateOf(state), `${state} → ${next.state}`)
      t.ok(readyStateOf(next.state) > 1, 'open is left by every event')
    }
  }
  t.same(CLOSE_STATES.map(readyStateOf), [1, 2, 2, 2, 2, 2, 3, 3])
  t.same(CLOSE_STATES.filter(state => !mayDeliver(state)), ['terminated'])
  t.end()
})
