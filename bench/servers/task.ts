import { pathOf } from './paths.js'

/** The work that a workload asks of a server. */
export interface ServerTask {
  /** `echo`: as the message comes; `echo-string`: text as a string; `echo-to-string`: a Buffer that the handler makes a string; `echo-json`: parsed and made JSON again; `broadcast`: to all. */
  handler: 'echo' | 'echo-string' | 'echo-to-string' | 'echo-json' | 'broadcast'
  deflate: 'off' | 'level-6' | 'defaults'
  takeover: boolean
  /** Whether an `onRequest` hook runs. */
  hook: boolean
  /** WebSocket routes; the client asks for the last one. Default 1. */
  routes?: number
  /** Milliseconds between the Pings to each client. Default: none are sent, but by ours, as its default is. */
  heartbeat?: number | false
  /** Bytes. Default `MAX_PAYLOAD`. */
  maxPayload?: number
}

export const task = JSON.parse(process.env.BENCH_TASK!) as ServerTask

export const MAX_PAYLOAD = task.maxPayload ?? 64 * 1024 * 1024

/** permessage-deflate for `ws`, and with the same words for us. */
export const perMessageDeflate = task.deflate === 'off'
  ? false
  : task.deflate === 'defaults' || { threshold: 0, zlibDeflateOptions: { level: 6 } }

declare const gc: undefined | ((options: { type: 'major', execution: 'sync', flavor: 'last-resort' }) => void)
declare const Bun: undefined | { gc (force: boolean): void }

/**
 * Collects as V8 does in a process that has been idle for some seconds: then it gives the space of young objects back, which
 * thousands of handshakes have made grow (not before Node 22). Objects freed by the first one let the next one free more.
 */
function collectGarbage (): void {
  for (let i = 0; i < 3; i++) typeof Bun === 'undefined' ? gc!({ type: 'major', execution: 'sync', flavor: 'last-resort' }) : Bun.gc(true)
}

/** Tells the runner the port, does what it asks for, and ends with it. */
export function announce (port: number): void {
  console.log(port)
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', command => {
    if (String(command).trim() === 'cpu') {
      const { user, system } = process.cpuUsage()
      console.log((user + system) * 1000)
      return
    }
    collectGarbage()
    setTimeout(() => console.log('collected'), 300)
  })
  process.stdin.on('end', () => process.exit())
}

/** The paths of the routes. */
export const paths = Array.from({ length: task.routes ?? 1 }, (_, index) => pathOf(index))
