import type { WebSocketConnection } from '../../types/connection.js'
import type { SendCallback, SendOptions } from '../../types/messages.js'
import { contentOf, controlOf } from './contents.js'
import { broadcast } from './broadcast.js'
import type { ConversationLog, Outgoing, WireEvent } from './conversation-log.js'
import { Delivery } from './delivery.js'
import type { Act, Moment } from './plan.js'
import { closeApp, closeServer } from './shutdown.js'
import { take } from './take.js'
import type { BadApp } from './bad-app.js'
import { later, wait } from './wait.js'

/** Shorter payloads are copied by `send`: they are overwritten at once. */
const REFERENCE_FROM = 16 * 1024

export interface Performer {
  readonly log: ConversationLog
  readonly connection: WebSocketConnection
  readonly outgoing: Outgoing
  fire (moment: Moment, how?: Partial<How>): unknown
}

export interface How {
  /** Whether the server reports an error that is thrown here. */
  readonly mayThrow: boolean
  /** Whether what is returned is awaited. */
  readonly isLoop?: boolean
  readonly isHandler?: boolean
}

/** Does one after the other. @returns what the listener returns */
export function perform (app: Performer, acts: readonly Act[], how: How): unknown {
  for (const [i, act] of acts.entries()) {
    switch (act.do) {
      case 'await':
        return wait(act.turns).then(() => perform(app, acts.slice(i + 1), how))
      case 'throw':
        return how.mayThrow ? fail(app, act.how) : undefined
      case 'return':
        return how.mayThrow && how.isLoop !== true ? odd(app, act.what, how.isHandler === true) : undefined
      default:
        performOne(app, act)
    }
  }
  return undefined
}

function fail ({ log }: Performer, how: 'throw' | 'reject' | 'thenable' | 'no error'): unknown {
  const thrown = log.run.makeThrown(how !== 'no error')
  log.tell(`app: ${how}s ${String(thrown)}`)
  if (how === 'reject') return Promise.reject(thrown)
  // Nothing but `then`.
  if (how === 'thenable') return { then: (_resolve: unknown, reject: (error: unknown) => void) => reject(thrown) }
  throw thrown
}

function odd ({ log }: Performer, what: 'thenable that never settles' | 'thenable that throws' | 'function', isHandler: boolean): unknown {
  log.tell(`app: returns a ${what}`)
  if (what === 'function') return () => {}
  // Node's EventEmitter makes an `error` event of its own of what the `then` of a listener's result throws.
  if (what === 'thenable that never settles' || !isHandler) return { then: () => {} }
  const thrown = log.run.makeThrown(true)
  return { then: () => { throw thrown } }
}

function performOne (app: Performer, act: Exclude<Act, { do: 'await' | 'throw' | 'return' }>): void {
  const { log, connection } = app
  const isOpen = connection.readyState === connection.OPEN
  switch (act.do) {
    case 'send':
      for (let i = 0; i < act.times; i++) send(app, act, act.id * 100 + i)
      return
    case 'send json':
      return sendJson(app, act.id, act.size, act.hasCallback)
    case 'ping':
    case 'pong': {
      const payload = controlOf('app', act.id, act.size)
      note(app, { type: act.do, bytes: Buffer.from(payload) })
      connection[act.do](payload, undefined, act.hasCallback ? callback(app, act.do) : undefined)
      payload.fill(0xee)
      return
    }
    case 'broadcast':
      return broadcast(log.run, act, app)
    case 'close': {
      log.tell(`app: close(${act.code ?? ''}) while ${isOpen ? 'open' : 'closing'}`)
      if (isOpen) log.appClose = { code: act.code ?? 1005, reason: act.reason }
      const reason = Buffer.from(act.reason)
      if (act.code === null) connection.close()
      else connection.close(act.code, reason)
      reason.fill(0xee)
      log.noteClosing()
      return
    }
    case 'terminate':
      log.tell('app: terminate()')
      log.allowMissingTail('the app has terminated the connection')
      log.isTerminated = true
      return connection.terminate()
    case 'pause':
      log.tell(`app: pause() for ${act.turns} turns`)
      connection.pause()
      later(act.turns, () => connection.resume())
      return
    case 'binaryType':
      connection.binaryType = act.type
      return
    case 'observe':
      return observe(app, act.turns)
    case 'close server':
      return closeServer(log.run)
    case 'close app':
      return closeApp(log.run)
  }
}

/** Notes a frame that the app sends. Frames sent on an open connection must arrive. */
function note ({ log, connection, outgoing }: Performer, event: WireEvent): void {
  const isOpen = connection.readyState === connection.OPEN
  log.tell(`app: sends ${event.type} of ${event.bytes.length} bytes${isOpen ? `, its ${outgoing.events.length}.` : ', refused'}`)
  if (isOpen) outgoing.events.push(event)
}

function callback (app: Performer, what: string, then?: () => void): SendCallback {
  const { log, connection } = app
  const entry = { what, isRefused: connection.readyState !== connection.OPEN, calls: [] as (Error | null | undefined)[] }
  log.callbacks.push(entry)
  return error => {
    entry.calls.push(error)
    then?.()
    return app.fire('callback') as void
  }
}

function send (app: Performer, act: Act & { do: 'send' }, id: number): void {
  const { log, connection, outgoing } = app
  // A second message within the first would be a mistake of the app's own.
  if (outgoing.isFragmenting) return
  const isText = act.memory === 'string' || !act.isBinary
  const bytes = contentOf(id, act.size, !isText)
  const event: WireEvent = { type: 'message', bytes, isBinary: act.isBinary }
  // As it would be to write to a stream meanwhile.
  if (act.fragments === 1 || log.streamed !== null) {
    note(app, event)
    return sendPart(app, act, bytes, { binary: act.isBinary, compress: act.compress })
  }
  sendFragments(app, act, event).catch((error: unknown) => app.log.fault(`the model itself: ${String(error)}`))
  outgoing.isFragmenting = connection.readyState === connection.OPEN && outgoing.isFragmenting
}

async function sendFragments (app: Performer, act: Act & { do: 'send' }, event: WireEvent): Promise<void> {
  const { connection, outgoing, log } = app
  const each = Math.ceil(event.bytes.length / act.fragments)
  for (let i = 0; i < act.fragments; i++) {
    const isLast = i === act.fragments - 1
    if (isLast) note(app, event)
    outgoing.isFragmenting = !isLast
    if (!isLast) log.tell(`app: sends fragment ${i}`)
    // Text is cut anywhere.
    sendPart(app, { ...act, memory: act.memory === 'string' ? 'Buffer' : act.memory }, event.bytes.subarray(i * each, (i + 1) * each), { binary: act.isBinary, fin: isLast })
    if (connection.readyState !== connection.OPEN) return
    if (act.gap > 0 && !isLast) await wait(act.gap)
  }
}

function sendPart (app: Performer, { memory, hasCallback }: Act & { do: 'send' }, bytes: Buffer, options: SendOptions): void {
  const { log, connection } = app
  const isOpen = connection.readyState === connection.OPEN
  const { data, view } = inMemory(bytes, memory)
  const overwrite = (): void => { view?.fill(0xee) }
  const isReferenced = view !== null && bytes.length >= REFERENCE_FROM
  const called = hasCallback || isReferenced ? callback(app, 'send', isReferenced ? overwrite : undefined) : undefined
  const mayGoOn = connection.send(data, options, called)
  if (!isReferenced) overwrite()
  if (isOpen && !mayGoOn) log.owesDrain = true
  if (!isOpen && mayGoOn) log.fault('send() returned true, though the connection was not open')
}

/** @returns `view`: what it can be overwritten by */
function inMemory (bytes: Buffer, memory: string): { data: string | Buffer | Uint8Array | ArrayBuffer | DataView, view: Uint8Array | null } {
  if (memory === 'string') return { data: bytes.toString(), view: null }
  const offset = memory === 'ArrayBuffer' ? 0 : 5
  const buffer = new ArrayBuffer(offset + bytes.length)
  const view = new Uint8Array(buffer, offset)
  view.set(bytes)
  if (memory === 'ArrayBuffer') return { data: buffer, view }
  if (memory === 'DataView') return { data: new DataView(buffer, offset), view }
  return { data: memory === 'Buffer' ? Buffer.from(buffer, offset) : view, view }
}

function sendJson (app: Performer, id: number, size: number, hasCallback: boolean): void {
  const { log, connection, outgoing } = app
  if (outgoing.isFragmenting) return
  const bytes = contentOf(id, size, false, true)
  const value = JSON.parse(bytes.toString()) as Record<string, unknown>
  const isOpen = connection.readyState === connection.OPEN
  note(app, { type: 'message', bytes, isBinary: false })
  const mayGoOn = connection.sendJson(value, hasCallback ? callback(app, 'sendJson') : undefined)
  value.fill = 'overwritten'
  if (isOpen && !mayGoOn) log.owesDrain = true
}

/** One more listener, before all others, for a while: it misses nothing in this time. */
function observe (app: Performer, turns: number): void {
  const { log, connection } = app
  const delivery = new Delivery(log.sent)
  delivery.allowGap()
  const listener = (data: unknown, isBinary: boolean): void => take(app as BadApp, data, isBinary, 'an observer', delivery)
  log.attach(false)
  connection.prependListener('message', listener)
  later(turns, () => {
    connection.off('message', listener)
    log.detach(false)
  })
}
