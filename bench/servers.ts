import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Optimization } from '../lib/optimizations.js'
import { BENCH, versionOf, type Build } from './build.js'
import { Child } from './child.js'
import type { ServerTask } from './servers/task.js'

/** A server under test. */
export interface BenchServer {
  /** In servers/, or a path of JavaScript. */
  file: string
  env?: Record<string, string>
  /** The package whose version the report names. */
  package?: string
  isBun?: boolean
}

export const OURS = 'ours'

const NO_ADDON = { WS_NO_BUFFER_UTIL: '1' }

/** Servers that use members that Node does not document: docs/architecture.md lists them. */
const UNDOCUMENTED: readonly Optimization[] = ['lent-reads', 'direct-writes', 'empty-contexts', 'lean-responses', 'quiet-resets', 'lean-listeners', 'zlib-contexts']

/** Ours with documented APIs alone: measured beside ours wherever no peers are named, so that its column is as new as the others. */
export const DOCUMENTED = 'documented'

export const SERVERS: Record<string, BenchServer> = {
  [OURS]: { file: 'ours.ts' },
  [DOCUMENTED]: { file: 'ours.ts', env: { FASTIFY_WS_ROUTES_WITHOUT: UNDOCUMENTED.join(',') } },
  '@fastify/websocket': { file: 'fastify-websocket.ts', env: NO_ADDON, package: '@fastify/websocket' },
  ws: { file: 'ws.ts', env: NO_ADDON, package: 'ws' },
  'ws+bufferutil': { file: 'ws.ts', package: 'bufferutil' },
  crossws: { file: 'crossws.ts', env: NO_ADDON, package: 'crossws' },
  uws: { file: 'uws.ts', package: '@trufflesuite/uws-js-unofficial' },
  bun: { file: 'bun.ts', package: `@oven/bun-${process.platform}-${process.arch === 'arm64' ? 'aarch64' : process.arch}`, isBun: true },
  // Floors: bytes that nobody looks at, and a handshake that nobody checks.
  net: { file: 'net.ts' },
  http: { file: 'http.ts' }
}

/** @param node the Node that runs it, unless it has a runtime of its own */
export async function start (server: BenchServer, task: ServerTask, build: Build, node: string): Promise<{ child: Child, port: number }> {
  if (server.package !== undefined && versionOf(server.package) === null) throw new Error(`${server.package} is not installed`)
  const script = existsSync(server.file) ? server.file : build.script(`servers/${server.file.replace(/\.ts$/, '.js')}`)
  const env = { ...server.env, BENCH_TASK: JSON.stringify(task) }
  const child = server.isBun === true
    ? new Child(join(BENCH, 'node_modules', server.package!, 'bin', 'bun'), [script], env)
    : new Child(node, ['--expose-gc', script], env)
  return { child, port: Number(await child.line()) }
}
