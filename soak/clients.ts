import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { Random } from '../fuzz/random.js'
import { startHttp2Bridge } from '../test/support/http2-bridge.js'
import { encodeMessage, type ClientSession, type Ending, type FromClient } from './messages.js'

// Clients, in a process of their own, which may be killed at any time.

const [serverPort, count, perSecond, seed] = process.argv.slice(2).map(Number) as [number, number, number, number]
const port = process.argv[6] === 'http2' ? (await startHttp2Bridge(serverPort)).port : serverPort

const random = new Random(seed)
const running = new Map<string, ClientSession>()
let broadcastsReceived = 0
const stopping = new AbortController()

function tell (message: FromClient): void {
  process.send?.(message)
}

/** Text, binary and what does not compress; most are short, a few are long. */
function content (): Buffer {
  const length = random.chance(0.9) ? random.below(400) : random.chance(0.9) ? random.below(16_000) : random.below(120_000)
  return random.chance(0.2) ? random.bytes(length) : Buffer.alloc(length, `{"id":${random.next()},"name":"somebody","tags":["a","b","c"]},`)
}

/** One connection, from its beginning to its end. */
async function runSession (session: string): Promise<void> {
  const isCompressed = random.chance(0.5)
  const state: ClientSession = { session, sent: 0, acknowledged: 0 }
  const socket = new WebSocket(`ws://127.0.0.1:${port}/${isCompressed ? 'deflate' : 'plain'}?session=${session}`, { perMessageDeflate: isCompressed && { threshold: 200 } })
  let how: Ending = 'closed by the server'
  let lastBroadcast = 0
  running.set(session, state)
  // A connection that is cut off may emit any kind of error.
  socket.on('error', () => {})
  socket.on('message', data => {
    const [, kind, number] = /^(ack|broadcast) (\d+)/.exec(String(data as Buffer)) ?? []
    if (kind === 'ack') {
      if (Number(number) !== state.acknowledged + 1) tell({ type: 'fault', message: `${session}: acknowledged ${number} after ${state.acknowledged}` })
      state.acknowledged = Number(number)
    } else if (kind === 'broadcast') {
      if (lastBroadcast !== 0 && Number(number) !== lastBroadcast + 1) tell({ type: 'fault', message: `${session}: broadcast ${number} after ${lastBroadcast}` })
      lastBroadcast = Number(number)
      broadcastsReceived++
    } else {
      tell({ type: 'fault', message: `${session}: ${String(data as Buffer).slice(0, 100)}` })
    }
  })
  const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
  await Promise.race([closed, new Promise<void>(resolve => socket.on('open', () => resolve()))])

  const until = performance.now() + 2000 + random.below(40_000)
  while (socket.readyState === WebSocket.OPEN && performance.now() < until && !stopping.signal.aborted) {
    // Now and then many at once.
    for (let burst = random.chance(0.05) ? 20 : 1; burst > 0 && socket.readyState === WebSocket.OPEN; burst--) sendOne(socket, state)
    if (random.chance(0.01)) await stall(socket)
    await Promise.race([closed, sleep(2000 * random.below(1000) / 1000 / perSecond)])
  }
  if (socket.readyState === WebSocket.OPEN) {
    how = stopping.signal.aborted ? 'close' : random.pick(['close', 'close', 'terminate', 'reset', 'half-close', 'garbage', 'too big'])
    end(socket, how)
  }
  await closed
  running.delete(session)
  tell({ type: 'ended', ended: state, how })
}

/** RSV2 and RSV3, which nobody has given a meaning (RFC 6455 §5.2). */
const RESERVED_BITS = 0x30

function sendOne (socket: WebSocket, state: ClientSession): void {
  const message = encodeMessage(++state.sent, content())
  const isBinary = random.chance(0.5)
  // As text, what is beyond ASCII takes two bytes each.
  const data = isBinary ? Buffer.from(message, 'latin1') : message
  if (random.chance(0.8)) {
    socket.send(data, { binary: isBinary })
    return
  }
  const cut = random.below(data.length + 1)
  const parts = [data.slice(0, cut), data.slice(cut)] as const
  socket.send(parts[0], { binary: isBinary, fin: false })
  socket.ping()
  socket.send(parts[1], { binary: isBinary, fin: true })
}

function tcp (socket: WebSocket): Socket {
  return (socket as unknown as { _socket: Socket })._socket
}

/** Reads nothing for a while. */
async function stall (socket: WebSocket): Promise<void> {
  const raw = tcp(socket)
  raw.pause()
  await sleep(500 + random.below(4000))
  raw.resume()
}

function end (socket: WebSocket, how: Ending): void {
  switch (how) {
    case 'terminate':
      socket.terminate()
      break
    case 'reset':
      tcp(socket).resetAndDestroy()
      break
    case 'half-close':
      tcp(socket).end()
      break
    case 'garbage': {
      const bytes = random.bytes(1 + random.below(1000))
      // Once in thousands of times it would be a frame, with a message that nobody has sent.
      bytes[0]! |= RESERVED_BITS
      tcp(socket).write(bytes)
      break
    }
    case 'too big':
      socket.send(random.bytes(300 * 1024))
      break
    default:
      socket.close(1000)
  }
}

async function runSlot (slot: number): Promise<void> {
  for (let i = 0; !stopping.signal.aborted; i++) await runSession(`${process.pid}-${slot}-${i}`)
}

process.on('message', () => { stopping.abort() })
process.on('disconnect', () => process.exit())
const reporting = setInterval(() => tell({ type: 'progress', sessions: [...running.values()], broadcasts: broadcastsReceived }), 200)
await Promise.all(Array.from({ length: count }, (_, slot) => runSlot(slot)))
clearInterval(reporting)
tell({ type: 'progress', sessions: [], broadcasts: broadcastsReceived })
process.disconnect()
