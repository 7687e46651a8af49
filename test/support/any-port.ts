import { Server, type ListenOptions } from 'node:net'

// Loaded before a program that listens on port 3000, as those in the documentation do: it gets a free port, and
// says which on its standard output if it is a program of its own.

const FIXED_PORT = 3000

const listen = Server.prototype.listen
Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const [options] = args
  if (isFixed(options)) {
    args[0] = { ...options, port: 0 }
    if (process.env.TELL_PORT !== undefined) this.once('listening', () => console.log(`port ${portOf(this)}`))
  }
  return Reflect.apply(listen, this, args) as Server
}

function isFixed (options: unknown): options is ListenOptions {
  return typeof options === 'object' && options !== null && 'port' in options && options.port === FIXED_PORT
}

function portOf (server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
