import type { WebSocketConnection, WebSocketMessageEvent } from '../../types/connection.js'
import type { BadApp } from './bad-app.js'
import { take } from './take.js'
import type { Phase } from './plan.js'
import { wait } from './wait.js'

/** Consumes the messages by one kind of listener after another, from beginning to end. */
export async function runPhases (app: BadApp): Promise<void> {
  const { listensAfter, phases } = app.log.plan.app
  if (listensAfter > 0) await wait(listensAfter)
  for (const phase of phases) {
    app.log.tell(`app: listens by ${phase.kind}${phase.count === null ? '' : `, for ${phase.count}`}`)
    if (phase.kind === 'stream') await consumeStream(app, phase)
    else if (phase.kind === 'loop' || phase.kind === 'json loop') await consumeLoop(app, phase, phase.kind)
    else await consumeListener(app, phase, phase.kind)
    if (app.log.closeEvents.length > 0) return
    if (phase.gap > 0) await wait(phase.gap)
  }
}

type ListenerKind = Exclude<Phase['kind'], 'stream' | 'loop' | 'json loop'>

async function consumeListener (app: BadApp, phase: Phase, kind: ListenerKind): Promise<void> {
  const { log } = app
  let got = 0
  let leave: () => void = () => {}
  const left = new Promise<void>(resolve => {
    leave = () => {
      remove()
      log.detach(true)
      log.tell(`app: has left ${kind}`)
      resolve()
    }
  })
  const onMessage = (data: unknown, isBinary: boolean): unknown => {
    take(app, data, isBinary, kind)
    // Before anything else is done: what is done may take it back.
    if (++got === phase.count) leave()
    return app.fire('message')
  }
  log.attach(true)
  const remove = addListener(app.connection, kind, onMessage)
  if (phase.count === 0) leave()
  await Promise.race([left, app.over])
}

/** @returns what removes it again */
function addListener (connection: WebSocketConnection, kind: ListenerKind, listener: (data: unknown, isBinary: boolean) => unknown): () => void {
  const onEvent = ({ data }: WebSocketMessageEvent): unknown => listener(data, typeof data !== 'string')
  const onJson = (message: unknown): unknown => listener(message, false)
  switch (kind) {
    case 'json':
      connection.on('json', onJson)
      return () => connection.off('json', onJson)
    case 'addEventListener':
      connection.addEventListener('message', onEvent)
      return () => connection.removeEventListener('message', onEvent)
    case 'onmessage':
      connection.onmessage = onEvent
      return () => { connection.onmessage = null }
    default:
      connection[kind]('message', listener)
      return () => connection.off('message', listener)
  }
}

async function consumeLoop (app: BadApp, phase: Phase, kind: 'loop' | 'json loop'): Promise<void> {
  const { log, connection } = app
  const mayThrow = log.plan.app.handler === 'async'
  let got = 0
  let hasLeft = true
  log.attach(true)
  try {
    for await (const message of kind === 'loop' ? connection : connection.json()) {
      take(app, message, kind === 'loop' && typeof message !== 'string', kind)
      if (phase.busy > 0) await wait(phase.busy)
      await app.fire('message', { mayThrow, isLoop: true })
      if (++got === phase.count) return
    }
    hasLeft = false
  } finally {
    log.detach(true, !hasLeft)
    log.tell(`app: has ${hasLeft ? 'left the loop' : 'come to the end of the loop'}`)
  }
}

/** Stays to the end. */
async function consumeStream (app: BadApp, phase: Phase): Promise<void> {
  const { log, connection } = app
  log.attach(true)
  const stream = connection.stream()
  const streamed: Buffer[] = log.streamed = []
  const ended = new Promise<void>(resolve => stream.on('close', resolve))
  stream.on('error', error => {
    log.tell(`app: its stream has failed: ${error.message}`)
    log.allowMissingTail('the stream was destroyed')
  })
  logWrites(app)
  let got = 0
  stream.on('data', (chunk: Buffer) => {
    // It has no messages, and no empty ones at all: what comes is the next bytes.
    streamed.push(chunk)
    log.tell(`app: got ${chunk.length} bytes by its stream`)
    if (got < 2 && !app.outgoing.isFragmenting) stream.write(Buffer.from(`${WRITTEN} ${got}`))
    app.fire('message', { mayThrow: false })
    if (++got !== phase.count) return
    log.otherCloses.push({ code: 1005, reason: '' })
    log.tell('app: ends its stream')
    stream.end()
  })
  await ended
}

const WRITTEN = 'written to the stream'

/** A stream sends when it is its turn. */
function logWrites ({ log, connection, outgoing }: BadApp): void {
  const send = connection.send as (...args: unknown[]) => boolean
  const seen = (...args: unknown[]): boolean => {
    const [data] = args
    if (Buffer.isBuffer(data) && data.toString().startsWith(WRITTEN) && connection.readyState === connection.OPEN) {
      outgoing.events.push({ type: 'message', bytes: Buffer.from(data), isBinary: true })
    }
    const mayGoOn = send.apply(connection, args)
    if (!mayGoOn) log.owesDrain = true
    return mayGoOn
  }
  Object.defineProperty(connection, 'send', { value: seen })
}
