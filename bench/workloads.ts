import type { Payload } from './frames.js'
import type { ServerTask } from './servers/task.js'

/** One of the figures of a workload. */
export interface Figure {
  /** The field of the sample. */
  key: string
  title: string
  digits: number
  /** Whether the servers are compared by it; less is better. */
  isCompared?: boolean
}

export interface Workload {
  name: string
  group: string
  title: string
  /** `hold`: connections that are only there; `beat`: those that answer the server's Pings. */
  mode: 'echo' | 'broadcast' | 'handshake' | 'hold' | 'beat'
  connections: number
  /** Messages in flight: on each connection, or in all for `broadcast`. */
  depth: number
  /** How many connections send, for `broadcast`. */
  senders?: number
  /** Messages a second in all; without it, as many as come back. */
  rate?: number
  /** HTTP requests a second beside them. */
  probes?: number
  payload: Payload
  task: ServerTask
  servers: readonly string[]
  figures: readonly Figure[]
  /** How many times the usual warm-up and window: where few things happen in a second. */
  times?: { warmup: number, duration: number }
  /** At most so many, where a round takes long and the next one brings nothing new. */
  rounds?: number
  /** Only run when it is named. */
  isExtra?: boolean
  /** This many servers run at once, each with a generator of its own and as many connections. */
  processes?: number
  /** Milliseconds of the window, whatever `--seconds` says. */
  window?: number
  /** Where it lies on an axis of growth.ts. */
  point?: Point
}

/** One of the measurements along an axis, on which all else stays the same. */
export interface Point {
  axis: string
  title: string
  x: number
  /** The unit of the values of x. */
  unit: 'bytes' | 'count'
}

const KIB = 1024

const NODE_SERVERS = ['ours', '@fastify/websocket', 'ws', 'ws+bufferutil', 'crossws']
const WITHOUT_FLOOR = [...NODE_SERVERS, 'uws', 'bun']
const ALL = [...WITHOUT_FLOOR, 'net']

const CPU: Figure = { key: 'cpu', title: 'CPU µs/message', digits: 2, isCompared: true }
const RATE: Figure = { key: 'rate', title: 'messages/s', digits: 0 }
const BYTES: Figure = { key: 'bytes', title: 'bytes/message', digits: 0 }
const REST: Figure[] = [
  { key: 'p50', title: 'p50 ms', digits: 2 },
  { key: 'p99', title: 'p99 ms', digits: 2 },
  { key: 'busy', title: 'busy %', digits: 0 }
]

const ECHO: ServerTask = { handler: 'echo', deflate: 'off', takeover: false, hook: false }

function echo (group: string, name: string, title: string, connections: number, depth: number, payload: Payload, more: Partial<Workload> = {}): Workload {
  return { group, name, title, mode: 'echo', connections, depth, payload, task: ECHO, servers: ALL, figures: [CPU, RATE, ...REST], ...more }
}

function broadcast (name: string, title: string, connections: number, depth: number, senders: number, bytes: number): Workload {
  return {
    group: 'W6',
    name,
    title,
    mode: 'broadcast',
    connections,
    depth,
    senders,
    payload: { kind: 'ascii', bytes },
    task: { ...ECHO, handler: 'broadcast' },
    servers: WITHOUT_FLOOR,
    figures: [{ ...CPU, title: 'CPU µs/delivery' }, { ...RATE, title: 'deliveries/s' }, ...REST]
  }
}

function deflate (bytes: number, takeover: boolean, settings: 'level-6' | 'defaults'): Workload {
  const size = bytes < KIB ? `${bytes}` : `${bytes / KIB}k`
  const isExtra = bytes !== 2 * KIB
  return echo(
    'W7',
    `deflate-${size}${takeover ? '' : '-no-takeover'}${settings === 'defaults' ? '-defaults' : ''}`,
    `${bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`} JSON echo, compressed, ${settings === 'defaults' ? "each server's defaults" : 'zlib level 6'}, ${takeover ? 'context takeover' : 'no context takeover'}, 20 connections, 1 in flight`,
    20,
    1,
    { kind: 'json', bytes },
    {
      task: { ...ECHO, deflate: settings, takeover },
      servers: WITHOUT_FLOOR,
      figures: [CPU, RATE, BYTES, ...REST],
      times: { warmup: 2, duration: 1 },
      isExtra
    }
  )
}

function memory (name: string, title: string, task: Partial<ServerTask>): Workload {
  const isCompressing = task.deflate !== undefined
  return {
    group: 'W9',
    name,
    title: `10,000 connections, ${title}`,
    mode: 'hold',
    connections: 10_000,
    depth: 1,
    payload: { kind: 'json', bytes: KIB },
    task: { ...ECHO, ...task },
    // bufferutil holds no memory for a connection: it would be `ws` twice.
    servers: (isCompressing ? WITHOUT_FLOOR : ALL).filter(server => server !== 'ws+bufferutil'),
    rounds: 3,
    figures: [
      { key: 'fresh', title: 'KiB fresh', digits: 2, isCompared: true },
      { key: 'further', title: 'KiB each further', digits: 2, isCompared: true },
      { key: 'used', title: 'KiB after 1 KiB', digits: 2, isCompared: true }
    ]
  }
}

function delay (name: string, title: string, of: Workload, rate: number): Workload {
  return {
    ...of,
    group: 'W10',
    name,
    title,
    rate,
    probes: 500,
    times: { warmup: 3, duration: 2 },
    servers: WITHOUT_FLOOR,
    figures: [
      { key: 'httpP99', title: 'HTTP p99 ms', digits: 2, isCompared: true },
      { key: 'httpP50', title: 'HTTP p50 ms', digits: 2 },
      { key: 'cpu', title: 'CPU µs/message', digits: 2 },
      RATE,
      ...REST
    ]
  }
}

const small = echo('W2', 'echo-small', '16 B text echo, 100 connections, 32 in flight', 100, 32, { kind: 'ascii', bytes: 16 })
const echo64 = echo('W2', 'echo-64', '64 B text echo, 100 connections, 32 in flight', 100, 32, { kind: 'ascii', bytes: 64 })
const deflate2k = deflate(2 * KIB, true, 'level-6')

export const WORKLOADS: readonly Workload[] = [
  echo('W1', 'ping-pong', '16 B text echo, 100 connections, 1 in flight', 100, 1, { kind: 'ascii', bytes: 16 }),
  small,
  echo64,
  echo('W2', 'echo-512', '512 B text echo, 100 connections, 32 in flight', 100, 32, { kind: 'ascii', bytes: 512 }),
  echo('W3', 'echo-16k', '16 KiB binary echo, 20 connections, 1 in flight', 20, 1, { kind: 'binary', bytes: 16 * KIB }),
  echo('W4', 'echo-1m', '1 MiB binary echo, 4 connections, 1 in flight', 4, 1, { kind: 'binary', bytes: 1024 * KIB }),
  echo('W5', 'text-64k', '64 KiB text echo, not ASCII, as bytes, 20 connections, 1 in flight', 20, 1, { kind: 'text', bytes: 64 * KIB }, {
    servers: ['ours', '@fastify/websocket', 'ws', 'ws+bufferutil', 'uws', 'net']
  }),
  echo('W5', 'text-64k-string', '64 KiB text echo, not ASCII, as a string, 20 connections, 1 in flight', 20, 1, { kind: 'text', bytes: 64 * KIB }, {
    task: { ...ECHO, handler: 'echo-string' },
    servers: [...NODE_SERVERS, 'bun']
  }),
  echo('W5', 'text-64k-to-string', '64 KiB text echo, not ASCII, made a string by data.toString(), 20 connections, 1 in flight', 20, 1, { kind: 'text', bytes: 64 * KIB }, {
    task: { ...ECHO, handler: 'echo-to-string' },
    servers: NODE_SERVERS
  }),
  broadcast('broadcast', '64 B to 500, one message at a time', 500, 1, 1, 64),
  broadcast('broadcast-8', '64 B to 500, 8 messages in flight', 500, 8, 1, 64),
  broadcast('broadcast-4k', '4 KiB to 500, one message at a time', 500, 1, 1, 4 * KIB),
  broadcast('room', '64 B, 100 connections, each message to all, one of each in flight', 100, 100, 100, 64),
  ...[2 * KIB, 200, 64 * KIB].flatMap(bytes => [true, false].flatMap(takeover => [
    deflate(bytes, takeover, 'level-6'),
    deflate(bytes, takeover, 'defaults')
  ])),
  {
    group: 'W8',
    name: 'handshake',
    title: 'handshakes, one after the other on each of 16 sockets, which the client resets',
    mode: 'handshake',
    connections: 16,
    depth: 1,
    payload: { kind: 'ascii', bytes: 16 },
    task: { ...ECHO, hook: true },
    servers: ['ours', '@fastify/websocket', 'ws', 'crossws', 'uws', 'bun', 'http'],
    times: { warmup: 5, duration: 1.5 },
    figures: [{ ...CPU, title: 'CPU µs/handshake' }, { ...RATE, title: 'handshakes/s' }, ...REST]
  },
  memory('memory', 'compression not offered', {}),
  memory('memory-takeover', 'compression with context takeover', { deflate: 'defaults', takeover: true }),
  memory('memory-no-takeover', 'compression without context takeover', { deflate: 'defaults', takeover: false }),
  ...[[100, 32], [2 * KIB, 4]].map(([bytes, depth]) => echo(
    'W11',
    bytes! < KIB ? 'json' : 'json-2k',
    `${bytes! < KIB ? '150 B' : '2 KiB'} of JSON, parsed and made JSON again, by ours also validated and serialized by a schema, 100 connections, ${depth} in flight`,
    100,
    depth!,
    { kind: 'orders', bytes: bytes! },
    { task: { ...ECHO, handler: 'echo-json' }, servers: ['ours', '@fastify/websocket', 'ws', 'ws+bufferutil'] }
  )),
  delay('delay', '500 HTTP requests/s beside 40,000 echoes/s of 64 B, 32 in a row', echo64, 40_000),
  delay('delay-deflate', '500 HTTP requests/s beside 2,000 compressed echoes/s of 2 KiB JSON', deflate2k, 2_000)
]

/** The `Sec-WebSocket-Extensions` that the client offers. */
export function extensionsOf ({ deflate, takeover }: ServerTask): string | undefined {
  if (deflate === 'off') return undefined
  return `permessage-deflate${takeover ? '' : '; server_no_context_takeover; client_no_context_takeover'}; client_max_window_bits`
}
