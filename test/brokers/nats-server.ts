import { spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { freezeServer, SERVER_PATH, spawnServer } from './spawn-server.js'

interface Teardown {
  teardown (fn: () => unknown): unknown
}

const isInstalled = spawnSync('nats-server', ['--version'], { env: { ...process.env, PATH: SERVER_PATH } }).status === 0
if (!isInstalled && process.env.REQUIRE_SYSTEM_PACKAGES) throw new Error('nats-server is not installed')

/** For the option `skip` of a test. */
export const noNats = isInstalled ? false : 'nats-server is not installed'

/** A nats-server with its data in a temporary folder, both gone when the test ends. */
export class NatsServer {
  readonly port: number
  private readonly folder = mkdtempSync(join(tmpdir(), 'fastify-ws-routes-nats-'))
  private readonly args: string[]
  private child: ChildProcess | null = null

  private constructor (port: number, args: string[]) {
    this.port = port
    this.args = args
  }

  /** @param args options of nats-server, in place of JetStream's */
  static async start (t: Teardown, args = ['-js']): Promise<NatsServer> {
    const server = new NatsServer(await freePort(), args)
    t.teardown(async () => {
      await server.kill()
      await rm(server.folder, { recursive: true, force: true })
    })
    await server.run()
    return server
  }

  /** Starts it, with the data that it had. */
  async run (): Promise<void> {
    const child = spawnServer('nats-server', ['-a', '127.0.0.1', '-p', String(this.port), '-sd', this.folder, ...this.args], ['ignore', 'ignore', 'pipe'])
    this.child = child
    let log = ''
    child.stderr!.setEncoding('utf8').on('data', (text: string) => { log = (log + text).slice(-4_000) })
    for (let i = 0; i < 500; i++) {
      if (/Server is ready/.test(log)) return
      if (child.exitCode !== null) break
      await pause(20)
    }
    throw new Error(`nats-server has not started:\n${log}`)
  }

  async kill (): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** The next start finds nothing. */
  async forget (): Promise<void> {
    await rm(join(this.folder, 'jetstream'), { recursive: true, force: true })
  }

  async freeze (): Promise<void> {
    if (this.child !== null) await freezeServer(this.child)
  }

  thaw (): void {
    this.child?.kill('SIGCONT')
  }

  /** @param port another one, of a proxy */
  async connect (t: Teardown, port = this.port): Promise<NatsConnection> {
    const connection = await connect({ servers: `127.0.0.1:${port}`, maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 })
    t.teardown(() => connection.close())
    return connection
  }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
