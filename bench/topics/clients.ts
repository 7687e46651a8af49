// Subscribers, as raw connections of WebSocket: what they cost is not measured, and the less it is the better.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { now } from './task.js'

export interface ClientsTask {
  kind: 'raw' | 'topics.v1' | 'socket.io'
  /** Port and topic of each connection; without a topic it does not subscribe. */
  connections: Array<[port: number, topic: string | null]>
}

const AT_A_TIME = 64
/** One connection of so many looks at the time in what it gets. */
const SAMPLED = 8
const SENT = Buffer.from('"sent":')
const PING = '2'

let messages = 0
let latencies: number[] = []
let isCounting = false

function frame (text: string): Buffer {
  const payload = Buffer.from(text)
  const header = payload.length < 126 ? Buffer.from([0x81, 0x80 | payload.length]) : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([header, Buffer.alloc(4), payload])
}

/** Calls back with each frame, whose payload is a part of `bytes`. */
function makeReader (onFrame: (bytes: Buffer, start: number, end: number) => void): (chunk: Buffer) => void {
  let pending: Buffer | null = null
  return chunk => {
    const bytes = pending === null ? chunk : Buffer.concat([pending, chunk])
    let at = 0
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1]! & 0x7f
      const start = at + (short === 126 ? 4 : short === 127 ? 10 : 2)
      if (start > bytes.length) break
      const end = start + (short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short)
      if (end > bytes.length) break
      if ((bytes[at]! & 0x0f) === 1) onFrame(bytes, start, end)
      at = end
    }
    pending = at === bytes.length ? null : Buffer.from(bytes.subarray(at))
  }
}

async function open (kind: ClientsTask['kind'], port: number, topic: string | null, index: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const query = topic === null ? '' : `topic=${encodeURIComponent(topic)}`
  const path = kind === 'raw' ? `/raw?${query}` : kind === 'socket.io' ? `/socket.io/?EIO=4&transport=websocket&${query}` : '/live'
  const protocol = kind === 'topics.v1' ? 'Sec-WebSocket-Protocol: topics.v1\r\n' : ''
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${protocol}\r\n`)
  const subscribed = new Promise<void>((resolve, reject) => {
    let head: Buffer | null = Buffer.alloc(0)
    const isSampled = index % SAMPLED === 0
    const read = makeReader((bytes, start, end) => {
      if (isCounting) {
        messages++
        if (!isSampled) return
        const found = bytes.indexOf(SENT, start)
        if (found !== -1 && found < end) latencies.push(now() - Number.parseInt(bytes.toString('latin1', found + SENT.length, found + SENT.length + 20), 10))
        return
      }
      const text = bytes.toString('latin1', start, Math.min(end, start + 40))
      if (kind === 'socket.io') {
        if (text.startsWith('0{')) socket.write(frame('40'))
        else if (text.startsWith('40')) resolve()
        else if (text === PING) socket.write(frame('3'))
      } else if (text.startsWith('{"hello"')) {
        socket.write(frame(JSON.stringify({ subscribe: { [topic!]: null } })))
      } else if (text.startsWith('{"subscribed"')) {
        resolve()
      } else if (text.startsWith('{"refused"')) {
        reject(new Error(bytes.toString('latin1', start, end)))
      }
    })
    socket.on('data', chunk => {
      if (head === null) return read(chunk)
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      if (!head.toString('latin1', 0, 12).startsWith('HTTP/1.1 101')) return reject(new Error(`the handshake was refused: ${head.toString('latin1', 0, 200)}`))
      const rest = head.subarray(end + 4)
      head = null
      if (kind === 'raw') resolve()
      if (rest.length > 0) read(rest)
    })
    socket.on('error', reject)
    // Servers close clients that do not keep up. What these do not get is missing in the count.
    socket.on('close', () => { reject(new Error('the server has closed the connection')) })
  })
  await once(socket, 'connect')
  await subscribed
  return socket
}

const { kind, connections } = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as ClientsTask
let next = 0
await Promise.all(Array.from({ length: AT_A_TIME }, async () => {
  while (next < connections.length) {
    const index = next++
    const [port, topic] = connections[index]!
    await open(kind, port, topic, index)
  }
}))
console.log('connected')

process.stdin.setEncoding('utf8').on('data', (command: string) => {
  if (command.trim() === 'start') {
    messages = 0
    latencies = []
    isCounting = true
    return console.log('started')
  }
  if (command.trim() === 'count') return console.log(messages)
  isCounting = false
  latencies.sort((a, b) => a - b)
  const percentile = (part: number): number => (latencies[Math.floor(latencies.length * part)] ?? 0) / 1000
  console.log(JSON.stringify({ messages, p50: percentile(0.5), p99: percentile(0.99) }))
}).on('end', () => process.exit())
