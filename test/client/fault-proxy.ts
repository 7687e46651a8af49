import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Teardown } from '../support/app.js'
import { resetAll } from '../support/reset-all.js'

/** A proxy between a client and servers, that does to its connections whatever the test wants. It keeps the order of the bytes. */
export class FaultProxy {
  private readonly server: Server
  private readonly pairs = new Set<[client: Socket, server: Socket]>()
  /** Ports of the servers: the next connection goes to the first. */
  targets: number[]
  /** In place of passing the next connections on. `null`: they are passed on. */
  answer: 'refuse' | 'never' | { status: string, headers?: string } | null = null
  /** Milliseconds by which what the server sends is late. */
  delay = 0
  connections = 0

  private constructor (targets: number[]) {
    this.targets = targets
    this.server = createServer({ allowHalfOpen: true }, client => this.connected(client))
  }

  static async start (t: Teardown, ...targets: number[]): Promise<FaultProxy> {
    const proxy = new FaultProxy(targets)
    proxy.server.listen(0, '127.0.0.1')
    await once(proxy.server, 'listening')
    t.teardown(() => {
      proxy.cut()
      proxy.server.close()
    })
    return proxy
  }

  get url (): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  private connected (client: Socket): void {
    this.connections++
    client.on('error', () => {})
    const { answer } = this
    if (answer === 'refuse') {
      client.destroy()
      return
    }
    if (answer === 'never') {
      client.resume()
      this.pairs.add([client, client])
      return
    }
    if (answer !== null) {
      client.once('data', () => client.end(`HTTP/1.1 ${answer.status}\r\ncontent-length: 0\r\nconnection: close\r\n${answer.headers ?? ''}\r\n`))
      return
    }
    const server = connect({ port: this.targets[0]!, host: '127.0.0.1', allowHalfOpen: true })
    const pair: [Socket, Socket] = [client, server]
    this.pairs.add(pair)
    server.on('error', () => client.destroy())
    let last = Promise.resolve()
    const inOrder = (act: () => void): void => {
      const wait = new Promise(resolve => setTimeout(resolve, this.delay))
      last = last.then(() => wait).then(act)
    }
    server.on('data', data => inOrder(() => client.write(data)))
    server.on('end', () => inOrder(() => client.end()))
    client.on('data', data => server.write(data))
    client.on('end', () => server.end())
    for (const socket of pair) {
      socket.on('close', () => {
        this.pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
  }

  /** Both sides get a reset. */
  cut (): void {
    resetAll(this.pairs)
  }

  /** Nothing comes through any more, and nobody hears of it. */
  freeze (): void {
    for (const [client, server] of this.pairs) {
      client.pause()
      server.pause()
    }
  }

  /** The client gets a FIN, and its own bytes still arrive. */
  halfClose (): void {
    for (const [client] of this.pairs) client.end()
  }
}
