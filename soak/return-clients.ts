import WebSocket from 'ws'
import type { ReturnOrders, ReturnReport } from './return-messages.js'

// Clients of soak/return.ts: each is subscribed to one topic, comes back when it is cut off, and resumes.

const CONCURRENCY = 100

const orders = JSON.parse(process.argv[2]!) as ReturnOrders
const { ports, connections, topics, jitter, first } = orders
const times: number[] = []
let received = 0
let missed = 0
let doubled = 0
let unordered = 0
let lost = 0
let notRecovered = 0
let live = 0
let onAllLive: () => void = () => {}

class Client {
  readonly topic: number
  /** The number of the last message. */
  last = 0
  private readonly number: number
  private at: string | null = null
  private cutAt = 0
  private attempts = 0

  constructor (number: number) {
    this.number = number
    this.topic = number % topics
  }

  connect (): void {
    const port = this.cutAt === 0 ? ports[0]! : ports[1 + (this.number + this.attempts) % (ports.length - 1)]!
    this.attempts++
    const socket = new WebSocket(`ws://127.0.0.1:${port}/live`, 'topics.v1', { perMessageDeflate: false })
    socket.on('open', () => socket.send(JSON.stringify({ subscribe: { [`rooms/${this.topic}`]: this.at } })))
    socket.on('message', data => this.take(JSON.parse(String(data)) as Record<string, never>))
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.cutAt === 0) {
        this.cutAt = performance.now()
        live--
      }
      setTimeout(() => this.connect(), Math.random() * jitter)
    })
  }

  private take ({ subscribed, recovered, missed: count, topic, at, message }: Record<string, never>): void {
    if (subscribed !== undefined) {
      if (this.cutAt > 0) {
        times.push(performance.now() - this.cutAt)
        this.cutAt = 0
        if (recovered !== true) notRecovered++
        missed += count as number
      }
      this.at = at
      if (++live === connections) onAllLive()
    } else if (topic !== undefined) {
      const { n } = message as unknown as { n: number }
      received++
      if (n === this.last) doubled++
      else if (n < this.last) unordered++
      else lost += n - this.last - 1
      this.last = Math.max(n, this.last)
      this.at = at
    }
  }
}

const clients = Array.from({ length: connections }, (_, i) => new Client(first + i))
const allLive = (): Promise<void> => new Promise(resolve => { onAllLive = resolve })

let next = 0
const opening = setInterval(() => {
  // A few at a time: it is the return that is measured.
  while (next < connections && next - live < CONCURRENCY) clients[next++]!.connect()
}, 5)
await allLive()
clearInterval(opening)
process.send!('live')
const before = process.cpuUsage()
await allLive()
const { user, system } = process.cpuUsage(before)
process.send!((user + system) / 1000)

process.once('message', ({ published }: { published: number[] }) => {
  for (const { topic, last } of clients) lost += (published[topic] ?? 0) - last
  process.send!({ times, received, missed, lost, doubled, unordered, notRecovered } satisfies ReturnReport)
})
