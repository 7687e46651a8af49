import { fork, type ChildProcess } from 'node:child_process'

/** A server under test: a file in servers/, and its environment. */
export interface BenchServer {
  file: string
  env?: Record<string, string>
}

export const OURS = 'fastify-ws-routes'

export const SERVERS: Record<string, BenchServer> = {
  [OURS]: { file: 'ours.ts' },
  '@fastify/websocket': { file: 'fastify-websocket.ts', env: { WS_NO_BUFFER_UTIL: '1' } },
  ws: { file: 'ws.ts', env: { WS_NO_BUFFER_UTIL: '1' } },
  'ws+bufferutil': { file: 'ws.ts' },
  'plain net': { file: 'net.ts' }
}

/** Starts a file of this folder as a process of its own. */
export function start (file: string, env: Record<string, string> = {}): ChildProcess {
  return fork(new URL(file, import.meta.url), { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}
