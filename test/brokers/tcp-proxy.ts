import { once } from 'node:events'
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net'
import type { Teardown } from '../support/app.js'
import { resetAll } from '../support/reset-all.js'

/** Passes connections on, until the test wants something else. */
export class TcpProxy {
  private readonly server = createServer(client => this.connected(client))
  private readonly pairs = new Set<[Socket, Socket]>()
  /** What the client of each pair has sent, up to a few kilobytes. */
  private readonly sent = new Map<[Socket, Socket], string>()
  /** The port that new connections go to. */
  target: number
  /** Nothing comes through any more, and nobody hears of it. */
  isFrozen = false
  /** Milliseconds by which everything comes later. */
  delay = 0

  private constructor (target: number) {
    this.target = target
  }

  static async start (t: Teardown, target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    proxy.server.listen(0, '127.0.0.1')
    await once(proxy.server, 'listening')
    t.teardown(() => {
      proxy.cut()
      proxy.server.close()
    })
    return proxy
  }

  get port (): number {
    return (this.server.address() as AddressInfo).port
  }

  /** @param which connections, by what their clients have sent; default: all */
  cut (which: (sent: string) => boolean = () => true): void {
    resetAll([...this.pairs].filter(pair => which(this.sent.get(pair) ?? '')))
  }

  private connected (client: Socket): void {
    const server = connectTcp(this.target, '127.0.0.1')
    const pair: [Socket, Socket] = [client, server]
    this.pairs.add(pair)
    for (const [from, to] of [pair, [server, client]] as const) {
      from.on('data', data => {
        const sent = this.sent.get(pair) ?? ''
        if (from === client && sent.length < 4_096) this.sent.set(pair, sent + data.toString('latin1'))
        if (this.isFrozen) return
        if (this.delay === 0) to.write(data)
        else setTimeout(() => to.write(data), this.delay)
      })
      from.on('error', () => {})
      from.on('close', () => {
        this.pairs.delete(pair)
        this.sent.delete(pair)
        to.destroy()
      })
    }
  }
}
