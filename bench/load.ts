// The load generator, a process of its own: raw sockets and frames that were masked beforehand, so that it
// costs less than what it measures. Started by run.ts, which sends a Load and gets a LoadResult.
import { constants, createInflateRaw, deflateRawSync } from 'node:zlib'
import { makeJsonMessages } from './json-messages.js'
import { open } from './open.js'
import { applyMask } from '../lib/protocol/mask.js'
import { frameHeaderLength, writeFrameHeader } from '../lib/protocol/frame-encoder.js'
import { RSV1 } from '../lib/protocol/opcodes.js'

export interface Load {
  port: number
  connections: number
  /** Messages in flight on each connection. */
  depth: number
  payload: { kind: 'ascii' | 'text' | 'binary' | 'json', bytes: number }
  /** What is offered as permessage-deflate; the messages are then sent compressed, without reference to earlier ones. */
  extensions?: string
  /** Milliseconds, after a warm-up of a third of it. */
  duration: number
  /** Whether the server sends back the masked bytes as they came. */
  isFloor: boolean
  /** Whether to compare every byte, which costs. */
  isChecking: boolean
}

export interface LoadResult {
  messages: number
  /** Bytes of all frames that came back. */
  bytes: number
  /** Milliseconds. */
  elapsed: number
  /** Milliseconds from a message to its echo; only with `depth` 1. */
  latency: { p50: number, p99: number } | null
}

const MASK = [0x12, 0x34, 0x56, 0x78] as const

function makePayloads ({ kind, bytes }: Load['payload']): Buffer[] {
  switch (kind) {
    case 'binary': return [Buffer.alloc(bytes, 'binary payload \x00\xff')]
    case 'ascii': return [Buffer.alloc(bytes, 'The quick brown fox jumps over the lazy dog. ')]
    // Whole characters of two and three bytes.
    case 'text': return [Buffer.alloc(bytes - bytes % 15, 'äöü€漢字')]
    case 'json': return makeJsonMessages(bytes)
  }
}

/** @param windowBits of permessage-deflate as agreed on; `null` without it */
function makeFrame (payload: Buffer, isText: boolean, windowBits: number | null): Buffer {
  const isCompressed = windowBits !== null
  const body = isCompressed ? deflateRawSync(payload, { windowBits, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4) : payload
  const headerLength = frameHeaderLength(body.length, true)
  const frame = Buffer.alloc(headerLength + body.length)
  const end = writeFrameHeader(frame, 0, (isText ? 1 : 2) | (isCompressed ? RSV1 : 0), true, body.length, true)
  body.copy(frame, headerLength)
  frame.set(MASK, end)
  applyMask(frame, headerLength, frame.length, ...MASK)
  return frame
}

/** Counts the frames in a stream, and hands their payloads to who wants them. */
class FrameCounter {
  private pending: Buffer = Buffer.alloc(0)
  private skip = 0

  constructor (private readonly onPayload: ((payload: Buffer, isCompressed: boolean) => void) | null) {}

  /** @returns how many frames have become complete */
  push (chunk: Buffer): number {
    let bytes = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk])
    let frames = 0
    let at = 0
    if (this.skip > 0) {
      at = Math.min(this.skip, bytes.length)
      this.skip -= at
      if (this.skip > 0) return 0
      frames++
    }
    for (;;) {
      const headerLength = at + 2 > bytes.length ? Infinity : headerLengthOf(bytes[at + 1]!)
      if (at + headerLength > bytes.length) break
      const length = payloadLengthOf(bytes, at)
      const end = at + headerLength + length
      if (end > bytes.length) {
        if (this.onPayload !== null) break
        this.skip = end - bytes.length
        bytes = Buffer.alloc(0)
        at = 0
        break
      }
      this.onPayload?.(bytes.subarray(at + headerLength, end), (bytes[at]! & RSV1) !== 0)
      frames++
      at = end
    }
    this.pending = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0)
    return frames
  }
}

/** The floor sends frames back masked. */
function headerLengthOf (second: number): number {
  const length = second & 0x7f
  return (length === 126 ? 4 : length === 127 ? 10 : 2) + ((second & 0x80) === 0 ? 0 : 4)
}

function payloadLengthOf (bytes: Buffer, at: number): number {
  const length = bytes[at + 1]! & 0x7f
  return length === 126 ? bytes.readUInt16BE(at + 2) : length === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : length
}

/** Compares each message that comes back with the one that was sent. */
function makeChecker (payloads: readonly Buffer[], isFloor: boolean): (payload: Buffer, isCompressed: boolean) => void {
  const inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH })
  let index = 0
  const expect = (payload: Buffer): void => {
    if (!payload.equals(payloads[index++ % payloads.length]!)) throw new Error('the echo is not what was sent')
  }
  let waiting: Buffer[] = []
  inflate.on('data', chunk => waiting.push(chunk))
  return (payload, isCompressed) => {
    if (isFloor) {
      const copy = Buffer.from(payload)
      applyMask(copy, 0, copy.length, ...MASK)
      return expect(copy)
    }
    if (!isCompressed) return expect(payload)
    inflate.write(payload)
    inflate.write(Buffer.from([0, 0, 0xff, 0xff]))
    inflate.flush(() => {
      expect(Buffer.concat(waiting))
      waiting = []
    })
  }
}

async function run (load: Load): Promise<LoadResult> {
  const payloads = makePayloads(load.payload)
  const opened = []
  for (let i = 0; i < load.connections; i++) opened.push(await open({ port: load.port, host: '127.0.0.1', noDelay: true }, load.extensions ?? null))
  // As many bits as the server allows the client.
  const windowBits = load.extensions === undefined ? null : Number(/client_max_window_bits=(\d+)/.exec(opened[0]!.head)?.[1] ?? 15)
  const frames = payloads.map(payload => makeFrame(payload, load.payload.kind !== 'binary', windowBits))
  // As many in a row as may be in flight, from any of them on: what is written is one slice.
  const row = Array.from({ length: frames.length + load.depth }, (_, i) => frames[i % frames.length]!)
  const bytes = Buffer.concat(row)
  const offsets = [0]
  for (const frame of row) offsets.push(offsets.at(-1)! + frame.length)

  const latencies: number[] = []
  let messages = 0
  let received = 0
  let isCounting = false
  const sockets = opened.map(({ socket }) => socket)
  for (const socket of sockets) {
    const counter = new FrameCounter(load.isChecking ? makeChecker(payloads, load.isFloor) : null)
    let next = 0
    let sentAt = 0
    const send = (count: number): void => {
      sentAt = performance.now()
      socket.write(bytes.subarray(offsets[next], offsets[next + count]))
      next = (next + count) % frames.length
    }
    socket.on('error', error => { throw error })
    socket.on('end', () => { throw new Error('the server has closed the connection') })
    socket.on('data', chunk => {
      const whole = counter.push(chunk)
      if (isCounting) {
        messages += whole
        received += chunk.length
        if (load.depth === 1 && whole > 0) latencies.push(performance.now() - sentAt)
      }
      if (whole > 0) send(whole)
    })
    send(load.depth)
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
  return { messages, bytes: received, elapsed, latency }
}

process.once('message', (load: Load) => {
  run(load).then(result => process.send!(result, () => process.disconnect()), (error: unknown) => {
    console.error(error)
    process.exit(1)
  })
})
