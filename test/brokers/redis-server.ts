import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freezeServer, spawnServer } from './spawn-server.js'

interface Teardown {
  teardown (fn: () => unknown): unknown
}

const isInstalled = spawnSync('redis-server', ['--version']).status === 0
if (!isInstalled && process.env.REQUIRE_SYSTEM_PACKAGES) throw new Error('redis-server is not installed')

/** For the option `skip` of a test. */
export const noRedis = isInstalled ? false : 'redis-server is not installed'

/** A redis-server with its data in a temporary folder, both gone when the test ends. */
export class RedisServer {
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'fastify-ws-routes-redis-'))
  readonly #args: string[]
  #child: ChildProcess | null = null

  private constructor (port: number, args: string[]) {
    this.port = port
    this.#args = args
  }

  /** @param args options of redis-server */
  static async start (t: Teardown, ...args: string[]): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), args)
    t.teardown(async () => {
      await server.kill()
      await rm(server.#folder, { recursive: true, force: true })
    })
    await server.run()
    return server
  }

  /** Starts it, with the data that it had. */
  async run (...args: string[]): Promise<void> {
    const child = spawnServer('redis-server', [
      '--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--repl-diskless-sync-delay', '0',
      ...this.#args, ...args
    ], ['ignore', 'pipe', 'ignore'])
    this.#child = child
    let log = ''
    child.stdout!.setEncoding('utf8').on('data', text => { log = (log + text).slice(-4_000) })
    const ended = once(child, 'exit').then(() => { throw new Error(`redis-server has ended:\n${log}`) })
    ended.catch(() => {})
    await Promise.race([ended, this.#answers()])
  }

  async #answers (): Promise<void> {
    for (let i = 0; i < 500; i++) {
      if (await this.cli('PING').then(reply => reply === 'PONG', () => false)) return
      await pause(20)
    }
    throw new Error('redis-server does not answer')
  }

  /** Kills it at once. What was acknowledged is in the append-only file. */
  async kill (): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async restart (): Promise<void> {
    await this.kill()
    await this.run()
  }

  /** The next start finds nothing. */
  async forget (): Promise<void> {
    await rm(join(this.#folder, 'appendonlydir'), { recursive: true, force: true })
  }

  /** Breaks all connections of clients. */
  async cutAll (): Promise<void> {
    await this.cli('CLIENT', 'KILL', 'TYPE', 'normal')
    await this.cli('CLIENT', 'KILL', 'TYPE', 'pubsub')
  }

  async freeze (): Promise<void> {
    if (this.#child !== null) await freezeServer(this.#child)
  }

  thaw (): void {
    this.#child?.kill('SIGCONT')
  }

  /** Sends one command over a connection of its own. @returns the reply as text, one line for each of an array */
  cli (...args: string[]): Promise<string> {
    return command(this.port, args)
  }
}

/** A small client, which does not depend on those that are tested. */
export function command (port: number, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.setTimeout(5_000, () => socket.destroy(new Error('no reply')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      const reply = parse(text)
      if (reply === null) return
      socket.destroy()
      if (reply.text.startsWith('-')) reject(new Error(reply.text.slice(1)))
      else resolve(reply.text)
    })
    socket.write(`*${args.length}\r\n` + args.map(arg => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join(''))
  })
}

function parse (text: string): { text: string, rest: string } | null {
  const end = text.indexOf('\r\n')
  if (end === -1) return null
  const line = text.slice(1, end)
  let rest = text.slice(end + 2)
  switch (text[0]) {
    case '+': case ':': return { text: line, rest }
    case '-': return { text: '-' + line, rest }
    case '$': {
      const length = Number(line)
      if (length === -1) return { text: '(nil)', rest }
      if (rest.length < length + 2) return null
      return { text: rest.slice(0, length), rest: rest.slice(length + 2) }
    }
    default: {
      const lines: string[] = []
      for (let i = 0; i < Number(line); i++) {
        const reply = parse(rest)
        if (reply === null) return null
        lines.push(reply.text)
        rest = reply.rest
      }
      return { text: lines.join('\n'), rest }
    }
  }
}

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A cluster of masters with all slots, and with `replicas` of each. */
export async function startCluster (t: Teardown, masters = 3, replicas = 0): Promise<RedisServer[]> {
  const nodes = await Promise.all(Array.from({ length: masters * (1 + replicas) }, () =>
    RedisServer.start(t, '--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--appendonly', 'no')))
  const ids = await Promise.all(nodes.map(node => node.cli('CLUSTER', 'MYID')))
  for (const node of nodes.slice(1)) await node.cli('CLUSTER', 'MEET', '127.0.0.1', String(nodes[0]!.port))
  const share = Math.ceil(16384 / masters)
  for (let i = 0; i < masters; i++) {
    await nodes[i]!.cli('CLUSTER', 'ADDSLOTSRANGE', String(i * share), String(Math.min((i + 1) * share, 16384) - 1))
  }
  await until(async () => (await Promise.all(nodes.map(node => node.cli('CLUSTER', 'INFO')))).every(info =>
    info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodes.length}`)))
  for (let i = masters; i < nodes.length; i++) await nodes[i]!.cli('CLUSTER', 'REPLICATE', ids[i % masters]!)
  await until(async () => (await Promise.all(nodes.slice(masters).map(node => node.cli('INFO', 'replication')))).every(info => info.includes('master_link_status:up')))
  return nodes
}

/** Waits until something is true. */
export async function until (check: () => boolean | Promise<boolean>, what = 'that', seconds = 30): Promise<void> {
  for (let i = 0; i < seconds * 50; i++) {
    if (await check()) return
    await pause(20)
  }
  throw new Error(`waited for ${what} in vain`)
}
