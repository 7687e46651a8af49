// How the servers grow: on each axis one thing changes, and all else stays the same. What costs the same for each unit
// everywhere on its axis is flat.
import type { Figure, Point, Workload } from './workloads.js'
import type { ServerTask } from './servers/task.js'

const KIB = 1024
const MIB = 1024 * KIB

/** Milliseconds between the Pings. All clients answer in time, while thousands more are being opened. */
const HEARTBEAT = 5000

const NODE_SERVERS = ['ours', '@fastify/websocket', 'ws+bufferutil']
const WITH_FLOOR = [...NODE_SERVERS, 'net']

const ECHO: ServerTask = { handler: 'echo', deflate: 'off', takeover: false, hook: false, heartbeat: false }

const OPEN: Figure = { key: 'open', title: 'CPU µs to open one', digits: 0, isCompared: true }
const FRESH: Figure = { key: 'fresh', title: 'KiB each', digits: 2, isCompared: true }
const FURTHER: Figure = { key: 'further', title: 'KiB each further', digits: 2, isCompared: true }
const PEAK: Figure = { key: 'peak', title: 'peak MiB per client', digits: 2, isCompared: true }

interface Axis {
  name: string
  title: string
  unit: Point['unit']
  servers: readonly string[]
  figures: readonly Figure[]
  values: readonly number[]
  /** Returns how the point differs from the others. */
  at: (x: number) => Pick<Workload, 'mode' | 'connections'> & Partial<Workload>
}

const CONNECTIONS = [1000, 2000, 5000, 10_000, 18_000, 100_000]

/** A process has 20,000 files at the most on many machines. */
const PER_PROCESS = 18_000
const PROCESSES = 6

function connections (x: number): Pick<Workload, 'connections' | 'processes'> {
  return x <= PER_PROCESS ? { connections: x } : { connections: Math.round(x / PROCESSES), processes: PROCESSES }
}

export const AXES: readonly Axis[] = [
  {
    name: 'growth-idle',
    title: 'idle connections; the last row in six processes',
    unit: 'count',
    servers: WITH_FLOOR,
    figures: [FRESH, FURTHER, OPEN],
    values: CONNECTIONS,
    at: x => ({ mode: 'hold', ...connections(x) })
  },
  {
    name: 'growth-heartbeat',
    title: `idle connections with a heartbeat every ${HEARTBEAT / 1000} s`,
    unit: 'count',
    servers: NODE_SERVERS,
    figures: [{ key: 'cpu', title: 'CPU µs per heartbeat', digits: 2, isCompared: true }, FRESH],
    // While more are opened, a machine of two cores cannot answer the Pings in time, whatever the server.
    values: CONNECTIONS.filter(x => x <= PER_PROCESS),
    at: x => ({ mode: 'beat', ...connections(x), task: { ...ECHO, heartbeat: HEARTBEAT }, window: HEARTBEAT })
  },
  {
    name: 'growth-receivers',
    title: 'receivers of one broadcast of 64 B, one at a time',
    unit: 'count',
    servers: NODE_SERVERS,
    figures: [{ key: 'cpu', title: 'CPU µs per delivery', digits: 2, isCompared: true }],
    values: [10, 100, 1000, 5000, 15_000],
    at: x => ({ mode: 'broadcast', connections: x, senders: 1, payload: { kind: 'ascii', bytes: 64 }, task: { ...ECHO, handler: 'broadcast' } })
  },
  {
    name: 'growth-size',
    title: 'size of an echoed message, 4 connections, 1 in flight',
    unit: 'bytes',
    servers: WITH_FLOOR,
    figures: [{ key: 'cpu', title: 'CPU µs/message', digits: 1, isCompared: true }, { key: 'perKiB', title: 'CPU µs/KiB', digits: 3, isCompared: true }, PEAK],
    values: [16, 256, 4 * KIB, 64 * KIB, MIB, 16 * MIB],
    at: x => ({ mode: 'echo', connections: 4, payload: { kind: 'binary', bytes: x } })
  },
  {
    name: 'growth-routes',
    title: 'WebSocket routes of the app; handshakes for the last of them',
    unit: 'count',
    servers: ['ours', '@fastify/websocket'],
    figures: [{ key: 'cpu', title: 'CPU µs/handshake', digits: 0, isCompared: true }, { key: 'ready', title: 'MiB when ready', digits: 0, isCompared: true }],
    values: [1, 10, 100, 1000, 5000],
    at: x => ({ mode: 'handshake', connections: 16, task: { ...ECHO, hook: true, routes: x }, times: { warmup: 3, duration: 1 } })
  },
  {
    name: 'growth-clients',
    title: 'clients that all send messages of 16 MiB, which is `maxPayload`, and get them back',
    unit: 'count',
    servers: NODE_SERVERS,
    figures: [PEAK, { key: 'cpu', title: 'CPU µs/message', digits: 0, isCompared: true }],
    values: [1, 4, 16, 64],
    at: x => ({ mode: 'echo', connections: x, payload: { kind: 'binary', bytes: 16 * MIB }, task: { ...ECHO, maxPayload: 16 * MIB }, times: { warmup: 2, duration: 2 }, window: 1500 + 150 * x })
  }
]

export const GROWTH: readonly Workload[] = AXES.flatMap(({ name, title, unit, servers, figures, values, at }) => values.map((x): Workload => ({
  group: 'growth',
  name,
  title,
  depth: 1,
  payload: { kind: 'json', bytes: KIB },
  task: ECHO,
  servers,
  figures,
  isExtra: true,
  rounds: 3,
  point: { axis: name, title, x, unit },
  ...at(x)
})))
