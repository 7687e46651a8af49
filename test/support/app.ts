import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { SecureServerOptions } from 'node:http2'
import type { AddressInfo } from 'node:net'
import websocket, { type WebSocketPluginOptions } from '../../lib/index.js'

/** The part of a `tap` test that helpers need: the clean-up. */
export interface Teardown {
  teardown (clean: () => unknown): void
}

export interface TestApp {
  app: FastifyInstance
  port: number
  /** `ws://127.0.0.1:port` */
  url: string
}

/** An app with the plugin, configured and listening on a free port of 127.0.0.1, closed when the test ends. */
export async function startApp (
  t: Teardown,
  configure: (app: FastifyInstance) => unknown,
  options: WebSocketPluginOptions = {},
  fastifyOptions: FastifyServerOptions & { http2?: boolean, https?: SecureServerOptions } = {}
): Promise<TestApp> {
  const app = Fastify(fastifyOptions as FastifyServerOptions) as FastifyInstance
  t.teardown(() => app.close())
  await app.register(websocket, options)
  await configure(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, port, url: `ws://127.0.0.1:${port}` }
}

/** A route at `/` that sends back what it gets. */
export function echo (app: FastifyInstance): void {
  app.get('/', { websocket: true }, connection => {
    connection.on('message', (data, isBinary) => connection.send(data, { binary: isBinary }))
  })
}
