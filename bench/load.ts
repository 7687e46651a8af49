// The load generator where there is no C compiler, and with `check`: it then compares every byte that comes back with
// what was sent. It takes the options of load.c and prints what that prints.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { constants, createInflateRaw } from 'node:zlib'
import { maskingKeyAt } from '../lib/protocol/frame-header.js'
import { applyMask } from '../lib/protocol/mask.js'
import { RSV1 } from '../lib/protocol/opcodes.js'

const options = new Map(process.argv.slice(2).map(argument => argument.split(/=(.*)/s) as [string, string]))
const number = (name: string): number => Number(options.get(name) ?? 0)
const mode = options.get('mode')!
const depth = number('depth')
const senders = number('senders')
const rate = number('rate')
const isChecking = options.has('check')
const frames = unpackFrames(readFileSync(options.get('frames')!))

function unpackFrames (file: Buffer): Buffer[] {
  const count = file.readUInt32LE(0)
  let at = 4 + 4 * count
  return Array.from({ length: count }, (_, i) => {
    const length = file.readUInt32LE(4 + 4 * i)
    at += length
    return file.subarray(at - length, at)
  })
}

interface Frame {
  payload: Buffer
  isCompressed: boolean
  end: number
}

/** The frame at `at`, unmasked: the floor sends frames back as they were. Without its payload if nobody wants that. */
function readFrame (bytes: Buffer, at: number, wantsPayload: boolean): Frame | null {
  if (at + 2 > bytes.length) return null
  const isMasked = (bytes[at + 1]! & 0x80) !== 0
  const short = bytes[at + 1]! & 0x7f
  const start = at + (short === 126 ? 4 : short === 127 ? 10 : 2) + (isMasked ? 4 : 0)
  if (start > bytes.length) return null
  const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short
  const end = start + length
  const isCompressed = (bytes[at]! & RSV1) !== 0
  if (!wantsPayload) return { payload: bytes, isCompressed, end }
  if (end > bytes.length) return null
  const payload = isMasked ? Buffer.from(bytes.subarray(start, end)) : bytes.subarray(start, end)
  if (isMasked) applyMask(payload, 0, length, maskingKeyAt(bytes, start - 4))
  return { payload, isCompressed, end }
}

/** Finds the messages in a stream. */
class MessageCounter {
  private pending: Buffer = Buffer.alloc(0)
  private skip = 0

  constructor (private readonly onFrame: ((frame: Frame) => void) | null) {}

  /** @returns how many messages have become complete */
  push (chunk: Buffer): number {
    const bytes = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk])
    let at = Math.min(this.skip, bytes.length)
    let messages = this.skip > 0 && at === this.skip ? 1 : 0
    this.skip -= at
    while (this.skip === 0) {
      const frame = readFrame(bytes, at, this.onFrame !== null)
      if (frame === null) break
      if (![1, 2, 9].includes(bytes[at]! & 0x0f)) throw new Error(`a frame that starts with ${bytes[at]!.toString(16)}`)
      const isMessage = (bytes[at]! & 0x0f) !== 9
      if (isMessage) this.onFrame?.(frame)
      this.skip = Math.max(0, frame.end - bytes.length)
      at = Math.min(frame.end, bytes.length)
      if (isMessage && this.skip === 0) messages++
    }
    this.pending = at < bytes.length ? Buffer.from(bytes.subarray(at)) : Buffer.alloc(0)
    return messages
  }
}

/** Messages of one connection, one after the other, inflated where they are compressed. */
function makeReader (onMessage: (message: Buffer) => void): (frame: Frame) => void {
  const inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH })
  let parts: Buffer[] = []
  inflate.on('data', part => parts.push(part))
  return ({ payload, isCompressed }) => {
    if (!isCompressed) return onMessage(payload)
    inflate.write(payload)
    inflate.write(Buffer.from([0, 0, 0xff, 0xff]))
    inflate.flush(() => {
      onMessage(Buffer.concat(parts))
      parts = []
    })
  }
}

/** Expects the messages in the order in which a connection sends them. */
async function makeExpectation (): Promise<() => (frame: Frame) => void> {
  const messages: Buffer[] = []
  const read = makeReader(message => messages.push(message))
  for (const frame of frames) read(readFrame(frame, 0, true)!)
  while (messages.length < frames.length) await new Promise(resolve => setImmediate(resolve))
  return () => {
    let index = 0
    return makeReader(message => {
      if (!message.equals(messages[index++ % messages.length]!)) throw new Error('what came back is not what was sent')
    })
  }
}

async function open (): Promise<Socket> {
  const socket = connect({ port: number('port'), host: '127.0.0.1', noDelay: true })
  socket.write(readFileSync(options.get('request')!))
  let head = ''
  while (!head.endsWith('\r\n\r\n')) head += ((await once(socket, 'data')) as [Buffer])[0].toString('latin1')
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(`the handshake was refused: ${head}`)
  socket.on('error', error => { throw error })
  socket.on('end', () => { throw new Error('the server has closed the connection') })
  return socket
}

const latencies: number[] = []
let messages = 0
let received = 0
let isCounting = false

/** Sends so many frames, in turn, each time in one write. */
function makeSender (socket: Socket): (count: number) => void {
  const row = Array.from({ length: frames.length + depth }, (_, i) => frames[i % frames.length]!)
  const bytes = Buffer.concat(row)
  const offsets = [0]
  for (const frame of row) offsets.push(offsets.at(-1)! + frame.length)
  let next = 0
  return count => {
    socket.write(bytes.subarray(offsets[next], offsets[next + count]))
    next = (next + count) % frames.length
  }
}

/** When the messages in flight were sent, the oldest first. */
function makeClock (): { sent: (count: number) => void, answered: (count: number) => void } {
  const sentAt: number[] = []
  return {
    sent (count) {
      const now = performance.now()
      for (let i = 0; i < count; i++) sentAt.push(now)
    },
    answered (count) {
      const now = performance.now()
      for (let i = 0; i < count; i++) {
        const latency = now - sentAt.shift()!
        if (isCounting) latencies.push(latency)
      }
    }
  }
}

function count (chunk: Buffer, whole: number): void {
  if (!isCounting) return
  messages += whole
  received += chunk.length
}

async function echo (sockets: readonly Socket[]): Promise<void> {
  const expect = isChecking ? await makeExpectation() : null
  const senders = sockets.map(socket => {
    const counter = new MessageCounter(expect === null ? null : expect())
    const send = makeSender(socket)
    const clock = makeClock()
    let inFlight = 0
    const sendMore = (count: number): void => {
      clock.sent(count)
      inFlight += count
      send(count)
    }
    socket.on('data', chunk => {
      const whole = counter.push(chunk)
      clock.answered(whole)
      count(chunk, whole)
      inFlight -= whole
      if (whole > 0 && rate === 0) sendMore(whole)
    })
    return () => { if (inFlight === 0) sendMore(depth) }
  })
  if (rate === 0) return senders.forEach(send => send())
  const start = performance.now()
  let sent = 0
  setInterval(() => {
    for (const due = (performance.now() - start) * rate / 1000; sent + depth <= due; sent += depth) senders[sent / depth % senders.length]!()
  }, 1)
}

async function broadcast (sockets: readonly Socket[]): Promise<void> {
  const expect = isChecking ? await makeExpectation() : null
  const clock = makeClock()
  const sends = sockets.slice(0, senders).map(makeSender)
  let sent = 0
  let delivered = 0
  const sendMore = (): void => {
    const more = Math.floor(delivered / sockets.length) + depth - sent
    clock.sent(more)
    if (sends.length === 1) sends[0]!(more)
    else for (let i = 0; i < more; i++) sends[(sent + i) % sends.length]!(1)
    sent += more
  }
  for (const socket of sockets) {
    const counter = new MessageCounter(expect === null ? null : expect())
    socket.on('data', chunk => {
      const whole = counter.push(chunk)
      count(chunk, whole)
      const before = Math.floor(delivered / sockets.length)
      delivered += whole
      const completed = Math.floor(delivered / sockets.length) - before
      if (completed === 0) return
      clock.answered(completed)
      sendMore()
    })
  }
  sendMore()
}

const percentile = (part: number): number => latencies[Math.floor(latencies.length * part)]!

const sockets: Socket[] = []
for (let i = 0; i < number('connections'); i++) sockets.push(await open())
await (mode === 'broadcast' ? broadcast : echo)(sockets)
await new Promise(resolve => setTimeout(resolve, number('warmup')))
isCounting = true
const start = performance.now()
console.log('counting')
await new Promise(resolve => setTimeout(resolve, number('duration')))
isCounting = false
const elapsed = performance.now() - start
console.log('counted')
latencies.sort((a, b) => a - b)
console.log(JSON.stringify({
  messages,
  bytes: received,
  elapsed,
  ...(latencies.length === 0 ? {} : { latency: { p50: percentile(0.5), p99: percentile(0.99) } })
}))
process.exit()
