import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { Teardown } from './app.js'

/** A TCP proxy on a port of its own: the network between a client and a server, which is lost when a test says so. */
export class Line {
  private readonly server: Server
  private readonly pairs = new Map<Socket, Socket>()
  private isCut = false

  private constructor (port: number) {
    this.server = createServer(client => {
      if (this.isCut) return client.destroy()
      const server = connect(port, '127.0.0.1')
      this.pairs.set(client, server)
      const end = (): void => {
        this.pairs.delete(client)
        client.destroy()
        server.destroy()
      }
      client.on('error', end).on('close', end).pipe(server)
      server.on('error', end).on('close', end).pipe(client)
    })
  }

  static async open (t: Teardown, port: number): Promise<Line> {
    const line = new Line(port)
    line.server.listen(0, '127.0.0.1')
    await once(line.server, 'listening')
    t.teardown(() => {
      line.cut()
      line.server.close()
    })
    return line
  }

  get port (): number {
    return (this.server.address() as AddressInfo).port
  }

  /** Stops forwarding the server's data to the clients. The other direction goes on. */
  deafen (): void {
    for (const [client, server] of this.pairs) server.unpipe(client)
  }

  /** Breaks every connection, and lets none through. */
  cut (): void {
    this.isCut = true
    for (const client of this.pairs.keys()) client.destroy()
  }

  mend (): void {
    this.isCut = false
  }
}
