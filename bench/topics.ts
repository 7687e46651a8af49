// npm run bench -- topics: messages to subscribers on several processes, against Socket.IO with its two adapters for Redis. The
// servers take turns on one redis-server, and what counts are the ratios of the same round.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build, versionOf, type Build } from './build.js'
import { Child } from './child.js'
import { workloadTable } from './markdown.js'
import { cpuTime } from './measure.js'
import { findNodes, type Node } from './nodes.js'
import type { Report, Sample, WorkloadResult } from './results.js'
import type { ClientsTask } from './topics/clients.js'
import type { Command, TopicsTask } from './topics/task.js'
import type { Figure } from './workloads.js'

interface Kind {
  file: string
  clients: ClientsTask['kind']
  task: Partial<TopicsTask>
  topic: (index: number) => string
}

const OURS: Kind = { file: 'ours', clients: 'raw', task: {}, topic: index => `t${index}` }
const OURS_HISTORY: Kind = { ...OURS, clients: 'topics.v1', topic: index => `history/${index}` }
const SOCKET_IO: Kind = { file: 'socket-io', clients: 'socket.io', task: { adapter: 'redis-adapter' }, topic: index => `t${index}` }
const SOCKET_IO_SHARDED: Kind = { ...SOCKET_IO, task: { adapter: 'sharded' } }
/** The floor: see topics/net.ts. */
const NET: Kind = { ...OURS, file: 'net' }
const SOCKET_IO_STREAMS: Kind = { ...SOCKET_IO, task: { adapter: 'redis-streams-adapter' } }

const WITHOUT_HISTORY: Record<string, Kind> = { ours: OURS, 'Socket.IO, redis-adapter': SOCKET_IO, 'Socket.IO, sharded adapter': SOCKET_IO_SHARDED, 'net and ioredis': NET }
const WITH_HISTORY: Record<string, Kind> = { ours: OURS_HISTORY, 'Socket.IO, redis-streams-adapter': SOCKET_IO_STREAMS }

interface TopicsWorkload {
  name: string
  title: string
  kinds: Record<string, Kind>
  figures: readonly Figure[]
  measure: (kind: Kind, run: Run) => Promise<Sample>
  rounds?: number
}

interface Run {
  build: Build
  node: Node
  redis: RedisServer
  seconds: number
  /** The part of the connections, and of the topics. */
  part: number
  /** How often the rate is doubled, at most. */
  steps: number
}

const PROCESSES = 3
/** Milliseconds. A higher p99 means that the servers do not keep up. */
const MAX_LATENCY = 100
const STEP = 1_000

const DELIVERY: readonly Figure[] = [
  { key: 'cpu', title: 'CPU µs/delivery', digits: 2, isCompared: true },
  { key: 'kernel', title: 'of it in the kernel, %', digits: 0 },
  { key: 'redis', title: 'of Redis, µs/publish', digits: 1, isCompared: true },
  { key: 'p50', title: 'p50 ms', digits: 1 },
  { key: 'p99', title: 'p99 ms', digits: 1 },
  { key: 'most', title: 'publishes/s with p99 ≤ 100 ms', digits: 0 },
  { key: 'missing', title: 'missing', digits: 0 }
]

function fanOut (allTopics: number, allSubscribers: number, rate: number): TopicsWorkload['measure'] {
  return async (kind, run) => await withServers(kind, run, PROCESSES, async servers => {
    const [topics, subscribers] = allTopics === 1 ? [1, Math.ceil(allSubscribers * run.part)] : [Math.ceil(allTopics * run.part), allSubscribers]
    const connections = Array.from({ length: topics * subscribers }, (_, index): ClientsTask['connections'][number] => {
      return [servers[index % PROCESSES]!.port, kind.topic(Math.floor(index / subscribers))]
    })
    return await withClients({ kind: kind.clients, connections }, run, async clients => {
      const names = Array.from({ length: topics }, (_, index) => kind.topic(index))
      // Functions that are compiled later count for the servers.
      await step(servers, clients, run, names, rate, run.seconds * 1_000, subscribers)
      const { delivered, ...sample } = await step(servers, clients, run, names, rate, run.seconds * 1_000, subscribers)
      let most = 0
      for (let next = rate, count = 0; count < run.steps; next *= 2, count++) {
        const { p99, delivered } = await step(servers, clients, run, names, next, STEP, subscribers)
        if (p99 > MAX_LATENCY || delivered < 0.98) break
        most = next
      }
      return { ...sample, most }
    })
  })
}

/** Publishes for a while. */
async function step (
  servers: readonly RunningServer[], clients: Child, { redis }: Run, topics: string[], rate: number, duration: number, subscribers: number
): Promise<Sample & { p99: number, delivered: number }> {
  const before = await cpuOf(servers.map(({ child }) => child))
  const redisBefore = await cpuTime(redis.asChild)
  const kernelBefore = kernelTime(servers)
  clients.say('start')
  await clients.line()
  const results = await Promise.all(servers.map(async server => {
    return await server.ask<{ published: number, failed: number }>({ do: 'publish', topics, rate: rate / servers.length, duration })
  }))
  const published = results.reduce((sum, { published }) => sum + published, 0)
  const expected = published * subscribers
  await arrive(clients, expected)
  const used = await cpuOf(servers.map(({ child }) => child)) - before
  const redisUsed = await cpuTime(redis.asChild) - redisBefore
  const kernel = (kernelTime(servers) - kernelBefore) / used * 100
  clients.say('stop')
  const { messages, p50, p99 } = JSON.parse(await clients.line()) as { messages: number, p50: number, p99: number }
  return { cpu: used / 1e3 / messages, kernel, redis: redisUsed / 1e3 / published, p50, p99, missing: expected - messages, delivered: messages / expected }
}

/** Waits until everything has arrived, or nothing more does. */
async function arrive (clients: Child, expected: number): Promise<void> {
  for (let last = -1, quiet = 0; quiet < 10;) {
    await new Promise(resolve => setTimeout(resolve, 100))
    clients.say('count')
    const count = Number(await clients.line())
    if (count >= expected) return
    quiet = count === last ? quiet + 1 : 0
    last = count
  }
}

const memory: TopicsWorkload = {
  name: 'topics-memory',
  title: 'memory of 10,000 connections × 10 topics, in one process',
  kinds: { ours: OURS },
  rounds: 1,
  figures: [
    { key: 'subscription', title: 'bytes per subscription', digits: 0 },
    { key: 'topic', title: 'bytes per topic', digits: 0 }
  ],
  async measure (kind, run) {
    return await withServers(kind, { ...run, redis: null as never }, 1, async ([server]) => {
      const connections = Array.from({ length: 10_000 }, (): ClientsTask['connections'][number] => [server!.port, null])
      return await withClients({ kind: 'raw', connections }, run, async () => {
        const weigh = async (): Promise<number> => (await server!.ask<{ bytes: number }>({ do: 'weigh' })).bytes
        const each = 10
        const grow = async (topics: number): Promise<number> => {
          const before = await weigh()
          await server!.ask({ do: 'subscribe', each, topics })
          return await weigh() - before
        }
        const first = await grow(1_000)
        await server!.ask({ do: 'unsubscribe' })
        // The second and the third time alike, with what connections keep from the first one.
        const few = await grow(1_000)
        await server!.ask({ do: 'unsubscribe' })
        const topic = (await grow(100_000) - few) / 99_000
        return { subscription: (first - 1_000 * topic) / 100_000, topic }
      })
    })
  }
}

const interest: TopicsWorkload = {
  name: 'topics-interest',
  title: '8 processes, 1,000 rooms with 10 clients each, those of a room on two of the processes; a message to each room',
  kinds: WITHOUT_HISTORY,
  rounds: 1,
  figures: [
    { key: 'wanted', title: 'messages a process has clients for', digits: 0 },
    { key: 'received', title: 'messages it gets from Redis, the most', digits: 0 }
  ],
  async measure (kind, run) {
    const rooms = 1_000
    const count = 8
    return await withServers(kind, run, count, async servers => {
      const connections = Array.from({ length: rooms * 10 }, (_, index): ClientsTask['connections'][number] => {
        const room = Math.floor(index / 10)
        return [servers[(room + index % 2) % count]!.port, kind.topic(room)]
      })
      return await withClients({ kind: kind.clients, connections }, run, async () => {
        const received = async (): Promise<number[]> => await Promise.all(servers.map(async server => (await server.ask<{ received: number }>({ do: 'received' })).received))
        const before = await received()
        await servers[0]!.ask({ do: 'publish', topics: Array.from({ length: rooms }, (_, index) => kind.topic(index)), rate: 500, duration: 2_000 })
        await new Promise(resolve => setTimeout(resolve, 1_000))
        const after = await received()
        return { wanted: rooms * 2 / count, received: Math.max(...after.map((value, index) => value - before[index]!)) }
      })
    })
  }
}

const presence: TopicsWorkload = {
  name: 'topics-presence',
  title: 'presence at rest: 3 processes, 3,000 members in 100 topics; commands that Redis gets',
  kinds: { ours: { ...OURS, clients: 'topics.v1', topic: index => `presence/${index}` } },
  rounds: 1,
  figures: [
    { key: 'commands', title: 'commands/s', digits: 2 },
    { key: 'each', title: 'per process and s', digits: 2 }
  ],
  async measure (kind, run) {
    return await withServers(kind, run, PROCESSES, async servers => {
      const connections = Array.from({ length: 3_000 }, (_, index): ClientsTask['connections'][number] => [servers[index % PROCESSES]!.port, kind.topic(index % 100)])
      return await withClients({ kind: kind.clients, connections }, run, async () => {
        await new Promise(resolve => setTimeout(resolve, 6_000))
        const seconds = 20
        const before = await run.redis.commands()
        await new Promise(resolve => setTimeout(resolve, seconds * 1_000))
        // The question itself is a command too.
        const commands = (await run.redis.commands() - before - 1) / seconds
        return { commands, each: commands / PROCESSES }
      })
    })
  }
}

const TOPICS_WORKLOADS: readonly TopicsWorkload[] = [
  { name: 'topics-one', title: '1 topic × 3,000 subscribers, 5 publishes/s, without history', kinds: WITHOUT_HISTORY, figures: DELIVERY, measure: fanOut(1, 3_000, 5) },
  { name: 'topics-one-history', title: '1 topic × 3,000 subscribers, 5 publishes/s, with history', kinds: WITH_HISTORY, figures: DELIVERY, measure: fanOut(1, 3_000, 5) },
  { name: 'topics-many', title: '1,000 topics × 3 subscribers, 2,000 publishes/s, without history', kinds: WITHOUT_HISTORY, figures: DELIVERY, measure: fanOut(1_000, 3, 2_000) },
  { name: 'topics-many-history', title: '1,000 topics × 3 subscribers, 2,000 publishes/s, with history', kinds: WITH_HISTORY, figures: DELIVERY, measure: fanOut(1_000, 3, 2_000) },
  memory, interest, presence
]

/** Nanoseconds that processes have been in the kernel, in the ticks of /proc (proc_pid_stat(5)). */
function kernelTime (servers: readonly RunningServer[]): number {
  const tick = 1e9 / 100
  return servers.reduce((sum, { child }) => sum + Number(readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[12]) * tick, 0)
}

async function cpuOf (children: readonly Child[]): Promise<number> {
  return (await Promise.all(children.map(cpuTime))).reduce((sum, one) => sum + one, 0)
}

interface RunningServer {
  child: Child
  port: number
  ask: <Answer> (command: Command) => Promise<Answer>
}

async function withServers<Result> (kind: Kind, { build, node, redis }: Run, count: number, use: (servers: RunningServer[]) => Promise<Result>): Promise<Result> {
  const env = { BENCH_TASK: JSON.stringify({ ...kind.task, redis: redis?.port ?? 0 }), NODE_ENV: 'production' }
  const children = Array.from({ length: count }, () => new Child(node.path, ['--expose-gc', build.script(`topics/${kind.file}.js`)], env))
  try {
    return await use(await Promise.all(children.map(async child => ({
      child,
      port: Number(await child.line()),
      async ask<Answer> (command: Command): Promise<Answer> {
        child.say(JSON.stringify(command))
        return JSON.parse(await child.line()) as Answer
      }
    }))))
  } finally {
    await Promise.all(children.map(async child => { await child.stop() }))
  }
}

async function withClients<Result> (task: ClientsTask, { build }: Run, use: (clients: Child) => Promise<Result>): Promise<Result> {
  const file = join(build.folder, 'clients.json')
  writeFileSync(file, JSON.stringify(task))
  const clients = new Child(process.execPath, [build.script('topics/clients.js'), file])
  try {
    const line = await clients.line()
    if (line !== 'connected') throw new Error(`expected 'connected', not '${line}'`)
    return await use(clients)
  } finally {
    await clients.stop()
  }
}

/** A redis-server that keeps nothing. */
class RedisServer {
  readonly port: number
  private readonly process: ChildProcess

  private constructor (port: number) {
    this.port = port
    this.process = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  }

  static async start (): Promise<RedisServer> {
    if (spawnSync('redis-server', ['--version']).status !== 0) throw new Error('redis-server is not installed')
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const redis = new RedisServer(port)
    for (let count = 0; ; count++) {
      const isReady = await redis.ask('PING').then(() => true, () => false)
      if (isReady) return redis
      if (count === 100) throw new Error('redis-server does not answer')
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  /** As far as `cpuTime` needs it. */
  get asChild (): Child {
    return { pid: this.process.pid } as Child
  }

  async commands (): Promise<number> {
    return Number(/total_commands_processed:(\d+)/.exec(await this.ask('INFO stats'))![1])
  }

  async flush (): Promise<void> {
    await this.ask('FLUSHALL')
  }

  async stop (): Promise<void> {
    this.process.kill()
    await once(this.process, 'exit')
  }

  /** @returns the first part of the answer */
  private async ask (command: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1')
    try {
      socket.write(`${command}\r\n`)
      return String((await once(socket, 'data'))[0])
    } finally {
      socket.destroy()
    }
  }
}

const PACKAGES = ['socket.io', '@socket.io/redis-adapter', '@socket.io/redis-streams-adapter', 'ioredis']

/** @param args workloads, and options as those of the other workloads */
export async function runTopics (args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '3' },
      node: { type: 'string', default: 'current' },
      servers: { type: 'string' },
      modules: { type: 'string' },
      part: { type: 'string', default: '1' },
      steps: { type: 'string', default: '10' },
      json: { type: 'string' },
      markdown: { type: 'string' }
    }
  })
  const workloads = positionals.length === 0 ? TOPICS_WORKLOADS : TOPICS_WORKLOADS.filter(({ name }) => positionals.includes(name))
  if (workloads.length === 0) throw new Error(`there are ${TOPICS_WORKLOADS.map(({ name }) => name).join(', ')}`)
  const built = build(values.modules)
  const redis = await RedisServer.start()
  const documents: string[] = []
  try {
    for (const node of findNodes(values.node.split(','))) {
      const report: Report = {
        date: new Date().toISOString(),
        node: node.version,
        machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${process.platform}`,
        generator: 'Node',
        rounds: Number(values.rounds),
        seconds: Number(values.seconds),
        versions: Object.fromEntries(PACKAGES.map(name => [name, versionOf(name) ?? 'none'])),
        results: []
      }
      const parts = [`## Topics, Node ${node.version}`, `${report.machine}, ${report.date.slice(0, 10)}; medians of ${report.rounds} rounds of ${report.seconds} s. ${
        Object.entries(report.versions).map(entry => entry.join(' ')).join(', ')}.`]
      for (const workload of workloads) {
        const result = await measure(workload, { build: built, node, redis, seconds: report.seconds, part: Number(values.part), steps: Number(values.steps) }, report.rounds, values.servers?.split('|'))
        report.results.push(result)
        parts.push(`### ${result.name}: ${result.title}`, workloadTable(result, []))
        console.log(`\n${parts.slice(-2).join('\n\n')}`)
        if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(report, null, 1))
      }
      documents.push(...parts)
    }
  } finally {
    await redis.stop()
  }
  if (values.markdown !== undefined) writeFileSync(values.markdown, documents.join('\n\n') + '\n')
}

async function measure ({ name, title, figures, kinds, rounds = Infinity, measure }: TopicsWorkload, run: Run, wanted: number, servers: readonly string[] | undefined): Promise<WorkloadResult> {
  const samples: Record<string, Sample[]> = {}
  for (let round = 0; round < Math.min(rounds, wanted); round++) {
    for (const [server, kind] of Object.entries(kinds)) {
      if (servers?.includes(server) === false) continue
      console.error(`${name}, round ${round + 1}: ${server}`)
      await run.redis.flush()
      ;(samples[server] ??= []).push(await measure(kind, run))
    }
  }
  return { group: 'topics', name, title, figures, samples }
}
