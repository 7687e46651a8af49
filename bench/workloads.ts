import type { Load } from './load.js'

/** What `ws` and we are both told about permessage-deflate. */
interface DeflateOptions {
  threshold?: number
  serverNoContextTakeover?: boolean
  clientNoContextTakeover?: boolean
  zlibDeflateOptions?: { level: number }
}

export type Workload = Pick<Load, 'connections' | 'depth' | 'payload' | 'extensions'> & {
  name: string
  title: string
  /** Servers that cannot do it are left out. */
  servers?: string[]
  perMessageDeflate?: boolean | DeflateOptions
}

const KIB = 1024

export const WORKLOADS: Workload[] = [
  { name: 'echo-ping-pong', title: '16 B text echo, 100 connections, 1 in flight', connections: 100, depth: 1, payload: { kind: 'ascii', bytes: 16 } },
  { name: 'echo-16', title: '16 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 16 } },
  { name: 'echo-64', title: '64 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 64 } },
  { name: 'echo-512', title: '512 B text echo, 100 connections, 32 in flight', connections: 100, depth: 32, payload: { kind: 'ascii', bytes: 512 } },
  { name: 'echo-16k', title: '16 KiB binary echo, 20 connections, 1 in flight', connections: 20, depth: 1, payload: { kind: 'binary', bytes: 16 * KIB } },
  { name: 'echo-1m', title: '1 MiB binary echo, 4 connections, 1 in flight', connections: 4, depth: 1, payload: { kind: 'binary', bytes: 1024 * KIB } },
  { name: 'echo-text-64k', title: '64 KiB text echo, not ASCII, 20 connections, 1 in flight', connections: 20, depth: 1, payload: { kind: 'text', bytes: 64 * KIB } }
]

const COMPRESSING = ['fastify-ws-routes', '@fastify/websocket', 'ws', 'ws+bufferutil']

for (const bytes of [200, 2 * KIB, 64 * KIB]) {
  for (const takeover of [true, false]) {
    const size = bytes < KIB ? `${bytes}` : `${bytes / KIB}k`
    const common = {
      connections: 20,
      depth: 1,
      payload: { kind: 'json', bytes },
      extensions: `permessage-deflate${takeover ? '' : '; server_no_context_takeover; client_no_context_takeover'}; client_max_window_bits`
    } as const
    WORKLOADS.push({
      ...common,
      name: `deflate-${size}${takeover ? '' : '-no-takeover'}`,
      title: `${size} B JSON echo, compressed, zlib level 6, ${takeover ? 'context takeover' : 'no context takeover'}`,
      servers: [...COMPRESSING],
      perMessageDeflate: { threshold: 0, zlibDeflateOptions: { level: 6 } }
    }, {
      ...common,
      name: `deflate-${size}${takeover ? '' : '-no-takeover'}-defaults`,
      title: `${size} B JSON echo, compressed, each server's defaults, ${takeover ? 'context takeover' : 'no context takeover'}`,
      servers: [...COMPRESSING],
      perMessageDeflate: true
    })
  }
}
