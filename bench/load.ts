// The load generator, a process of its own: raw sockets and frames that were masked beforehand, so that it
// costs less than what it measures. Started by run.ts, which sends a Load and gets a LoadResult.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { applyMask } from '../lib/protocol/mask.js'
import { frameHeaderLength, writeFrameHeader } from '../lib/protocol/frame-encoder.js'

export interface Load {
  port: number
  connections: number
  /** Messages in flight on each connection. */
  depth: number
  payload: { kind: 'ascii' | 'text' | 'binary', bytes: number }
  /** Milliseconds, after a warm-up of a third of it. */
  duration: number
  /** Whether the server sends back the masked bytes as they came. */
  isFloor: boolean
  /** Whether to compare every byte, which costs. */
  isChecking: boolean
}

export interface LoadResult {
  messages: number
  /** Milliseconds. */
  elapsed: number
  /** Milliseconds from a message to its echo; only with `depth` 1. */
  latency: { p50: number, p99: number } | null
}

const MASK = [0x12, 0x34, 0x56, 0x78] as const

function makePayload ({ kind, bytes }: Load['payload']): Buffer {
  if (kind === 'binary') return Buffer.alloc(bytes, 'binary payload \x00\xff')
  if (kind === 'ascii') return Buffer.alloc(bytes, 'The quick brown fox jumps over the lazy dog. ')
  // Whole characters of two and three bytes.
  return Buffer.alloc(bytes - bytes % 15, 'äöü€漢字')
}

function makeFrame (payload: Buffer, isText: boolean, masked: boolean): Buffer {
  const headerLength = frameHeaderLength(payload.length, masked)
  const frame = Buffer.alloc(headerLength + payload.length)
  const end = writeFrameHeader(frame, 0, isText ? 1 : 2, true, payload.length, masked)
  payload.copy(frame, headerLength)
  if (masked) {
    frame.set(MASK, end)
    applyMask(frame, headerLength, frame.length, ...MASK)
  }
  return frame
}

async function open (port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  let head = ''
  while (!head.endsWith('\r\n\r\n')) head += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1')
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(head)
  return socket
}

async function run (load: Load): Promise<LoadResult> {
  const isText = load.payload.kind !== 'binary'
  const payload = makePayload(load.payload)
  const request = makeFrame(payload, isText, true)
  const response = load.isFloor ? request : makeFrame(payload, isText, false)
  const pipeline = Buffer.concat(Array.from({ length: load.depth }, () => request))

  const latencies: number[] = []
  let messages = 0
  let isCounting = false
  const sockets: Socket[] = []
  for (let i = 0; i < load.connections; i++) sockets.push(await open(load.port))
  for (const socket of sockets) {
    let received = 0
    let sentAt = performance.now()
    socket.on('error', error => { throw error })
    socket.on('data', chunk => {
      if (load.isChecking) check(chunk, received, response)
      received += chunk.length
      const whole = Math.floor(received / response.length)
      if (whole === 0) return
      received -= whole * response.length
      if (isCounting) messages += whole
      if (load.depth === 1) {
        const now = performance.now()
        if (isCounting) latencies.push(now - sentAt)
        sentAt = now
      }
      socket.write(whole === load.depth ? pipeline : pipeline.subarray(0, whole * request.length))
    })
    socket.write(pipeline)
  }

  await new Promise(resolve => setTimeout(resolve, load.duration / 3))
  process.send!('counting')
  isCounting = true
  const start = performance.now()
  await new Promise(resolve => setTimeout(resolve, load.duration))
  isCounting = false
  const elapsed = performance.now() - start
  process.send!('counted')
  for (const socket of sockets) socket.destroy()
  latencies.sort((a, b) => a - b)
  const latency = latencies.length === 0
    ? null
    : { p50: latencies[Math.floor(latencies.length * 0.5)]!, p99: latencies[Math.floor(latencies.length * 0.99)]! }
  return { messages, elapsed, latency }
}

/** The stream is the same frame over and over: `offset` says where in it the chunk begins. */
function check (chunk: Buffer, offset: number, response: Buffer): void {
  for (let i = 0; i < chunk.length;) {
    const at = (offset + i) % response.length
    const length = Math.min(response.length - at, chunk.length - i)
    if (chunk.compare(response, at, at + length, i, i + length) !== 0) throw new Error('the echo is not what was sent')
    i += length
  }
}

process.once('message', (load: Load) => {
  run(load).then(result => process.send!(result, () => process.disconnect()), (error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
