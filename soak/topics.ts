import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { Random } from '../fuzz/random.js'
import { connect, type ClientTopic, type SocketConstructor, type TopicsClient } from '../lib/client/index.js'
import { parsePosition } from '../lib/topics/position.js'
import { TopicLog } from './topic-log.js'

// Three app processes, an engine between them, and clients that publish to each other, while all of these die, freeze, restart
// and come back. Each client has to get each message of a topic with history once and in order, or `reset` in its place.

export interface TopicsSoakOptions {
  readonly broker: 'redis' | 'nats'
  readonly seconds: number
  readonly clients: number
  readonly seed: number
}

/** The engine between the apps, as its helper of the tests has it. */
interface Engine {
  readonly port: number
  run (): Promise<void>
  kill (): Promise<void>
  forget (): Promise<void>
  freeze (): Promise<void>
  thaw (): void
}

interface EngineClass { start (t: { teardown (clean: () => unknown): void }): Promise<Engine> }

const APPS = 3
const ROOMS = 20
const SYMBOLS = 5
/** Messages a second, of all clients together. */
const RATE = 120

interface Client {
  readonly name: string
  readonly live: TopicsClient
  readonly sockets: Set<WebSocket>
  readonly rooms: ReadonlyMap<string, ClientTopic>
  readonly logs: ReadonlyMap<string, TopicLog>
}

const totals = { published: 0, acknowledged: 0, rejected: 0, delivered: 0, resets: 0, gaps: 0, plain: 0 }
const faults = new Map<string, number>()
const problems: string[] = []

/** @returns the status for the process */
export async function soakTopics ({ broker, seconds, clients: count, seed }: TopicsSoakOptions): Promise<number> {
  const random = new Random(seed)
  const cleaning: Array<() => unknown> = []
  const t = { teardown: (clean: () => unknown) => { cleaning.unshift(clean) } }
  console.log(`topics over ${broker}: ${count} clients, ${APPS} apps, ${seconds} s, seed ${seed}`)
  const engine = await startEngine(broker, t)
  const apps = new Apps(broker, engine.port)
  t.teardown(() => apps.stop())
  await apps.start()

  const clients = Array.from({ length: count }, (_, i) => createClient(`client-${i}`, apps, random))
  await Promise.all(clients.flatMap(({ rooms }) => [...rooms.values()].map(room => room.subscribe())))
  console.log('all clients have subscribed')

  const end = Date.now() + seconds * 1_000
  const publishing = publishUntil(end, clients, random)
  while (Date.now() < end - 8_000) {
    await sleep(2_000 + random.below(3_000))
    await injectFault(engine, apps, clients, random)
  }
  await publishing
  await settle(clients)
  check(clients)
  await checkPresence(apps, clients)
  for (const { live } of clients) live.close()
  for (const clean of cleaning) await clean()

  console.log(JSON.stringify({ ...totals, faults: Object.fromEntries(faults), problems: problems.length }, null, 2))
  for (const problem of problems.slice(0, 20)) console.log(problem)
  return problems.length === 0 ? 0 : 1
}

async function startEngine (broker: TopicsSoakOptions['broker'], t: { teardown (clean: () => unknown): void }): Promise<Engine> {
  // By a name that the compiler does not follow: test/brokers has packages of its own, which are installed by now.
  const module = `../test/brokers/${broker}-server.ts`
  const { NatsServer, RedisServer } = await import(module) as { NatsServer?: EngineClass, RedisServer?: EngineClass }
  return (NatsServer ?? RedisServer)!.start(t)
}

/** The app processes, each on a port that it keeps. */
class Apps {
  readonly ports: number[] = []
  readonly children: Array<ChildProcess | null> = []
  private readonly broker: string
  private readonly enginePort: number
  private isStopping = false

  constructor (broker: string, enginePort: number) {
    this.broker = broker
    this.enginePort = enginePort
  }

  async start (): Promise<void> {
    for (let i = 0; i < APPS; i++) {
      // Below those that outgoing connections get: an app that is started again has its port.
      this.ports.push(12_000 + process.pid % 20_000 + i)
      this.children.push(null)
    }
    await Promise.all(this.ports.map((_, i) => this.run(i)))
  }

  async run (i: number): Promise<void> {
    const child = fork(fileURLToPath(new URL('topics-app.ts', import.meta.url)), {
      env: { ...process.env, BROKER: this.broker, ENGINE_PORT: String(this.enginePort), PORT: String(this.ports[i]) },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc']
    })
    this.children[i] = child
    child.on('exit', (code, signal) => {
      if (this.children[i] === child) this.children[i] = null
      if (!this.isStopping && signal !== 'SIGKILL' && code !== 0) problems.push(`an app has ended with ${code ?? signal}`)
    })
    await Promise.race([once(child, 'message'), once(child, 'exit')])
  }

  async end (i: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.children[i]
    if (child === null || child === undefined) return
    child.kill(signal)
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  async stop (): Promise<void> {
    this.isStopping = true
    await Promise.all(this.children.map((_, i) => this.end(i, 'SIGKILL')))
  }
}

function createClient (name: string, apps: Apps, random: Random): Client {
  const sockets = new Set<WebSocket>()
  const Tracked = class extends WebSocket {
    constructor (url: string, protocols?: string[]) {
      super(url, protocols)
      sockets.add(this)
      this.on('close', () => sockets.delete(this))
    }
  } as unknown as SocketConstructor
  const url = (): string => `ws://127.0.0.1:${apps.ports[random.below(APPS)]}/live?name=${name}`
  const live = connect(url, { WebSocket: Tracked, backoff: { base: 100, cap: 2_000 }, connectTimeout: 5_000 })
  live.on('error', error => { problems.push(`${name}: ${String(error)}`) })
  const rooms = new Map<string, ClientTopic>()
  const logs = new Map<string, TopicLog>()
  while (rooms.size < 3) {
    const topic = live.topic(`rooms/${random.below(ROOMS)}`)
    if (rooms.has(topic.name)) continue
    const log = new TopicLog(`${name} in ${topic.name}`)
    rooms.set(topic.name, topic)
    logs.set(topic.name, log)
    topic.on('message', (_message, at) => {
      totals.delivered++
      log.received(parsePosition(at!)!)
    })
    topic.on('reset', () => {
      totals.resets++
      log.reset()
    })
    topic.on('refused', error => { problems.push(`${name} in ${topic.name}: ${error.message}`) })
  }
  const prices = live.topic(`prices/${random.below(SYMBOLS)}`)
  prices.on('message', () => { totals.plain++ })
  prices.on('gap', () => { totals.gaps++ })
  return { name, live, sockets, rooms, logs }
}

/** The messages that were acknowledged, by topic: all of them have to be somewhere. */
const acknowledged = new Map<string, Array<{ epoch: string, offset: number, id: string }>>()

async function publishUntil (end: number, clients: readonly Client[], random: Random): Promise<void> {
  const pending: Array<Promise<void>> = []
  for (let n = 0; Date.now() < end; n++) {
    const client = clients[random.below(clients.length)]!
    const topic = random.below(6) === 0 ? `prices/${random.below(SYMBOLS)}` : `rooms/${random.below(ROOMS)}`
    totals.published++
    pending.push(client.live.topic(topic).publish({ by: client.name, n }).then(
      at => {
        totals.acknowledged++
        if (at === null) return
        const list = acknowledged.get(topic) ?? []
        acknowledged.set(topic, list)
        list.push(parsePosition(at)!)
      },
      () => { totals.rejected++ }
    ))
    await sleep(1_000 / RATE)
  }
  await Promise.race([Promise.all(pending), sleep(60_000).then(() => { problems.push('publishing has not ended after a minute') })])
}

type Fault = (engine: Engine, apps: Apps, clients: readonly Client[], random: Random) => Promise<void>

const FAULTS: Record<string, { weight: number, inject: Fault }> = {
  'an app is killed': {
    weight: 4,
    async inject (_engine, apps, _clients, random) {
      const i = random.below(APPS)
      await apps.end(i, 'SIGKILL')
      await sleep(random.below(2_000))
      await apps.run(i)
    }
  },
  'a rolling restart': {
    weight: 2,
    async inject (_engine, apps) {
      for (let i = 0; i < APPS; i++) {
        await apps.end(i, 'SIGTERM')
        await apps.run(i)
      }
    }
  },
  'the engine is frozen for 3 s': {
    weight: 2,
    async inject (engine) {
      await engine.freeze()
      await sleep(3_000)
      engine.thaw()
    }
  },
  'the engine is restarted with its data': {
    weight: 2,
    async inject (engine) {
      await engine.kill()
      await sleep(500)
      await engine.run()
    }
  },
  'the engine is restarted without its data': {
    weight: 1,
    async inject (engine) {
      await engine.kill()
      await engine.forget()
      await engine.run()
    }
  },
  'clients are cut off': {
    weight: 4,
    async inject (_engine, _apps, clients, random) {
      for (let i = 0; i < 20; i++) for (const socket of clients[random.below(clients.length)]!.sockets) socket.terminate()
    }
  },
  'clients do not read': {
    weight: 2,
    async inject (_engine, _apps, clients, random) {
      const sockets = Array.from({ length: 5 }, () => [...clients[random.below(clients.length)]!.sockets]).flat().filter(({ readyState }) => readyState === WebSocket.OPEN)
      for (const socket of sockets) socket.pause()
      await sleep(3_000)
      for (const socket of sockets) socket.resume()
    }
  }
}

const LOTS = Object.entries(FAULTS).flatMap(([name, { weight }]) => Array<string>(weight).fill(name))

async function injectFault (engine: Engine, apps: Apps, clients: readonly Client[], random: Random): Promise<void> {
  const name = LOTS[random.below(LOTS.length)]!
  faults.set(name, (faults.get(name) ?? 0) + 1)
  console.log(`${new Date().toISOString().slice(11, 19)} ${name}; ${totals.acknowledged} acknowledged, ${totals.delivered} delivered`)
  await FAULTS[name]!.inject(engine, apps, clients, random)
}

/** Waits until all topics are live, and a last message has come to everybody in each. */
async function settle (clients: readonly Client[]): Promise<void> {
  const limit = Date.now() + 60_000
  const wait = async (what: string, isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      if (Date.now() > limit) {
        problems.push(`after a minute: ${what}`)
        return
      }
      await sleep(50)
    }
  }
  await wait('not all topics are live', () => clients.every(({ rooms }) => [...rooms.values()].every(({ isLive }) => isLive)))
  for (let room = 0; room < ROOMS; room++) {
    const name = `rooms/${room}`
    let at: string | null = null
    while (at === null && Date.now() < limit) at = await clients[0]!.live.topic(name).publish({ by: 'the end', n: room }).catch(() => null)
    if (at === null) continue
    const last = parsePosition(at)!
    await wait(`the last message of ${name} has not come to all`, () => clients.every(({ logs }) => logs.get(name)?.has(last) ?? true))
  }
}

function check (clients: readonly Client[]): void {
  // Messages without an acknowledgement that somebody has received were stored too.
  const known = new Map([...acknowledged].map(([topic, places]) => [topic, new Map(places.map(place => [`${place.epoch}.${place.offset}`, place]))]))
  for (const { logs } of clients) {
    for (const [topic, log] of logs) {
      const places = known.get(topic) ?? new Map()
      known.set(topic, places)
      for (const place of log.all()) {
        const key = `${place.epoch}.${place.offset}`
        const other = places.get(key)
        if (other !== undefined && other.id !== place.id) problems.push(`${topic}: ${key} is ${place.id} for one and ${other.id} for another`)
        places.set(key, place)
      }
    }
  }
  for (const { logs } of clients) for (const [topic, log] of logs) problems.push(...log.check([...known.get(topic)!.values()]))
}

async function checkPresence (apps: Apps, clients: readonly Client[]): Promise<void> {
  const [child] = apps.children
  const limit = Date.now() + 40_000
  for (let room = 0; room < ROOMS; room++) {
    const topic = `rooms/${room}`
    const expected = clients.filter(({ rooms }) => rooms.has(topic)).map(({ name }) => name).sort().join()
    let found = ''
    do {
      child!.send(topic)
      const [answer] = await once(child!, 'message') as [{ members?: Array<{ info: { name: string } }> }]
      found = answer.members?.map(({ info }) => info.name).sort().join() ?? 'an error'
      if (found !== expected) await sleep(500)
    } while (found !== expected && Date.now() < limit)
    if (found !== expected) problems.push(`members of ${topic}: ${found}; there are ${expected}`)
  }
}
