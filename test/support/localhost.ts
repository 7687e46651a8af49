import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import dns, { type LookupAddress } from 'node:dns'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'
import type { TestApp, Teardown } from './app.js'

/** An app that listens on `localhost`, for which Fastify starts a server on each of its addresses. */
export async function startOnLocalhost (
  t: Teardown,
  configure: (app: FastifyInstance) => unknown,
  options: WebSocketPluginOptions = {},
  fastifyOptions: FastifyServerOptions & { http2?: boolean } = {}
): Promise<TestApp & { second: string }> {
  const second = await secondAddress(t)
  const app = Fastify(fastifyOptions as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, options)
  await configure(app)
  await app.listen({ port: 0, host: 'localhost' })
  const { port } = app.server.address() as AddressInfo
  return { app, port, second, url: `ws://localhost:${port}` }
}

/** `::1`; where `localhost` has no second address, it is made to have one of the loopback network. */
async function secondAddress (t: Teardown): Promise<string> {
  const { lookup } = dns
  const addresses: LookupAddress[] = await promisify(lookup)('localhost', { all: true })
  const other = addresses.find(({ address }) => address !== '127.0.0.1')
  if (other !== undefined) return other.address
  const lookupBoth = (name: string, options: { all?: boolean }, callback: (error: Error | null, found: LookupAddress[]) => void): void => {
    if (name !== 'localhost' || options.all !== true) return Reflect.apply(lookup, dns, [name, options, callback])
    callback(null, ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 })))
  }
  Object.assign(dns, { lookup: lookupBoth })
  t.teardown(() => { Object.assign(dns, { lookup }) })
  return '127.0.0.2'
}
